package workspace

import "fmt"

// letters are the check letters: those that are not mistaken for one another or
// for digits when read aloud or written by hand (no B, D, G, I, O, P, Q, S, T, U,
// V, Z). Their count is prime, so every single wrong digit and every swap of
// neighbors changes the letter.
const letters = "ACEFHJKLMNRWX"

// Number writes the n-th case of a clinic as people say it: "2417-K".
func Number(n int64) string {
	digits := fmt.Sprintf("%04d", n)
	return digits + "-" + string(checkLetter(digits))
}

// ValidNumber tells whether the check letter of a number fits.
func ValidNumber(s string) bool {
	if len(s) < 6 || s[len(s)-2] != '-' {
		return false
	}
	digits := s[:len(s)-2]
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s[len(s)-1] == checkLetter(digits)
}

func checkLetter(digits string) byte {
	sum, weight := 0, 2 // 2 is a primitive root of 13: weights of neighbors differ
	for i := len(digits) - 1; i >= 0; i-- {
		sum += weight * int(digits[i]-'0')
		weight = weight * 2 % len(letters)
	}
	return letters[sum%len(letters)]
}
