package i18n

import (
	"strconv"
	"strings"
)

// numbers is how a language writes numbers and sizes of files. Digits are Latin
// everywhere.
type numbers struct {
	decimal, group string
	bytes          [3]string // bytes, and 1024 and 1024² of them
}

var numberTable = map[string]numbers{
	"en":      {".", ",", [3]string{"B", "KB", "MB"}},
	"fr":      {",", "\u202f", [3]string{"o", "Ko", "Mo"}},
	"ar":      {".", ",", [3]string{"B", "KB", "MB"}},
	"es":      {",", "\u00a0", [3]string{"B", "KB", "MB"}},
	"pt":      {",", ".", [3]string{"B", "KB", "MB"}},
	"ru":      {",", "\u00a0", [3]string{"Б", "КБ", "МБ"}},
	"zh-Hans": {".", ",", [3]string{"B", "KB", "MB"}},
}

// Number is a whole number with its thousands apart: "1,000,000".
func (l *Localizer) Number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), numberTable[l.language.Tag].group)
}

// Size is the size of a file as people say it: "312 KB", "1.5 MB".
func (l *Localizer) Size(bytes int64) string {
	how := numberTable[l.language.Tag]
	switch {
	case bytes < 1<<10:
		return strconv.FormatInt(bytes, 10) + "\u00a0" + how.bytes[0]
	case bytes < 1<<20:
		return strconv.FormatInt(bytes>>10, 10) + "\u00a0" + how.bytes[1]
	}
	return strings.Replace(strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64), ".", how.decimal, 1) + "\u00a0" + how.bytes[2]
}
