use std::arch::x86_64::*;
#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn wide(n: i32) -> i32 {
    let v = _mm256_add_epi32(_mm256_set1_epi32(n), _mm256_set1_epi32(n * 2));
    _mm256_extract_epi32(v, 5)
}
#[inline(never)]
fn plain(n: i32) -> i32 { n.wrapping_mul(3) }
fn main() {
    let n = std::env::args().count() as i32;
    let r = if is_x86_feature_detected!("avx2") { unsafe { wide(n) } } else { plain(n) };
    println!("{}", r);
}
