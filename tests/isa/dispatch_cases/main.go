package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/bits"
	"os"
	"strings"
)

func main() {
	n := len(os.Args)
	fmt.Println(math.FMA(float64(n), 2, 1), bits.OnesCount(uint(n)), math.Floor(float64(n)+0.5))
	fmt.Println(strings.Index("a long text in which a word is looked for", "looked"))
	fmt.Printf("%x\n", sha256.Sum256([]byte(os.Args[0][:0])))
}
