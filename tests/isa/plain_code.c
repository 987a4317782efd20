#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdatomic.h>
/* Plain C: no intrinsic, no assembly, no attribute; what compilers make of it is up to them. */
void add(float *a, const float *b, const float *c, size_t n) { for (size_t i = 0; i < n; i++) a[i] = b[i] * c[i] + a[i]; }
void dadd(double *restrict a, const double *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] += b[i]; }
void iadd(int *restrict a, const int *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] += b[i] * 3; }
void imax(int *restrict a, const int *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] = a[i] > b[i] ? a[i] : b[i]; }
void bytes(uint8_t *restrict a, const uint8_t *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] = (a[i] + b[i] + 1) >> 1; }
void words(uint16_t *restrict a, const uint16_t *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] = a[i] * b[i] >> 3; }
void longs(int64_t *restrict a, const int64_t *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] = a[i] * b[i]; }
int dot8(const uint8_t *restrict a, const int8_t *restrict b, size_t n) { int s = 0; for (size_t i = 0; i < n; i++) s += a[i] * b[i]; return s; }
int dot8s(const int8_t *restrict a, const int8_t *restrict b, size_t n) { int s = 0; for (size_t i = 0; i < n; i++) s += a[i] * b[i]; return s; }
int dot16(const int16_t *restrict a, const int16_t *restrict b, size_t n) { int s = 0; for (size_t i = 0; i < n; i++) s += a[i] * b[i]; return s; }
int count(uint64_t x) { return __builtin_popcountll(x); }
void counts(uint64_t *restrict a, size_t n) { for (size_t i = 0; i < n; i++) a[i] = __builtin_popcountll(a[i]); }
void counts8(uint8_t *restrict a, size_t n) { for (size_t i = 0; i < n; i++) a[i] = __builtin_popcount(a[i]); }
void zeros(uint32_t *restrict a, size_t n) { for (size_t i = 0; i < n; i++) a[i] = a[i] ? __builtin_clz(a[i]) : 32; }
int lz(uint64_t x) { return x ? __builtin_clzll(x) : 64; }
int tz(uint64_t x) { return x ? __builtin_ctzll(x) : 64; }
uint64_t andn(uint64_t a, uint64_t b) { return ~a & b; }
uint64_t blsr(uint64_t a) { return a & (a - 1); }
uint64_t shifts(uint64_t a, int n, int m) { return a << n | a >> m; }
uint64_t rot(uint64_t a, int n) { return a << (n & 63) | a >> (-n & 63); }
unsigned __int128 wide(uint64_t a, uint64_t b) { return (unsigned __int128)a * b; }
uint32_t swap(const uint32_t *p) { return __builtin_bswap32(*p); }
double floors(double x) { return floor(x); }
float rounds(float x) { return roundf(x) + truncf(x) + rintf(x); }
void vfloor(float *a, size_t n) { for (size_t i = 0; i < n; i++) a[i] = floorf(a[i]); }
void gather(float *restrict a, const float *restrict b, const int *restrict i, size_t n) { for (size_t k = 0; k < n; k++) a[k] = b[i[k]]; }
void scatter(float *restrict a, const float *restrict b, const int *restrict i, size_t n) { for (size_t k = 0; k < n; k++) a[i[k]] += b[k]; }
int histogram(int *restrict h, const int *restrict i, size_t n) { for (size_t k = 0; k < n; k++) h[i[k]]++; return h[0]; }
_Bool cas(_Atomic uint64_t *p, uint64_t a, uint64_t b) { return atomic_compare_exchange_strong(p, &a, b); }
uint64_t fetch(_Atomic uint64_t *p, uint64_t a) { return atomic_fetch_add(p, a) + atomic_load_explicit(p, memory_order_acquire); }
_Bool cas16(__int128 *p, __int128 a, __int128 b) { return __sync_bool_compare_and_swap(p, a, b); }
int sub(_Atomic int *p, int a, int b) { if (*p < a) { *p += b; return 1; } return 0; }
double select(double a, double b, int c) { return c ? a : b; }
void setv(char *p, const char *q, size_t n) { __builtin_memcpy(p, q, n); __builtin_memset(p, 0, n); }
void perm(uint8_t *restrict a, const uint8_t *restrict b, size_t n) { for (size_t i = 0; i < n; i += 4) { a[i] = b[i+3]; a[i+1] = b[i+2]; a[i+2] = b[i+1]; a[i+3] = b[i]; } }
void packs(uint8_t *restrict a, const int *restrict b, size_t n) { for (size_t i = 0; i < n; i++) a[i] = b[i] < 0 ? 0 : b[i] > 255 ? 255 : b[i]; }
void complex_(float *restrict a, const _Complex float *restrict b, const _Complex float *restrict c, size_t n) { _Complex float *x = (void *)a; for (size_t i = 0; i < n; i++) x[i] += b[i] * c[i]; }
uint64_t clmul(uint64_t a, uint64_t b) { uint64_t r = 0; for (int i = 0; i < 64; i++) if (b >> i & 1) r ^= a << i; return r; }
uint32_t crc(uint32_t c, const uint8_t *p, size_t n) { while (n--) { c ^= *p++; for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1; } return c; }
int many(int a,int b,int c,int d,int e,int f,int g,int h,int i,int j,int k,int l){int x[12]={a*b,b*c,c*d,d*e,e*f,f*g,g*h,h*i,i*j,j*k,k*l,l*a};int s=0;for(int q=0;q<12;q++)for(int r=0;r<12;r++)s+=x[q]*x[r]^q;return s;}
uint8_t rev8(uint8_t x){uint8_t r=0;for(int i=0;i<8;i++)r|=(x>>i&1)<<(7-i);return r;}
void revs(uint8_t*restrict a,size_t n){for(size_t i=0;i<n;i++)a[i]=__builtin_bswap16(a[i])>>3;}
int jsconv(double x){return (int)x;}
uint64_t czero(uint64_t a,uint64_t b,int c){return c?a:0 + (b==0?0:a);}
uint64_t sh3(uint64_t a,uint64_t b){return (a<<3)+b;}
uint64_t bitset(uint64_t a,int n){return a|1ull<<(n&63);}
uint64_t minu(uint64_t a,uint64_t b){return a<b?a:b;}
