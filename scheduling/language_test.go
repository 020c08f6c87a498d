package scheduling

import "testing"

func TestInterpreterIsNeededBetweenThoseWithoutACommonLanguage(t *testing.T) {
	ar, en, fr, so := []string{"ar"}, []string{"en", "sw"}, []string{"fr", "en"}, []string{"so"}
	for _, c := range []struct {
		why    string
		people [][]string
		pair   [2]string
		needed bool
		ok     bool
	}{
		{"patient apart, both physicians share English", [][]string{ar, en, fr}, [2]string{"ar", "en"}, true, true},
		{"all share English", [][]string{{"en-KE"}, en, fr}, [2]string{}, false, true},
		{"patient and local physician share, the specialist does not", [][]string{ar, {"ar", "sw"}, {"de"}}, [2]string{"ar", "de"}, true, true},
		{"the specialist speaks the patient's language, the local physician does not", [][]string{ar, {"de"}, {"ar"}}, [2]string{"ar", "de"}, true, true},
		{"three languages", [][]string{ar, {"de"}, so}, [2]string{}, true, false},
		{"two physicians without a common language", [][]string{{"sw"}, {"de"}}, [2]string{"sw", "de"}, true, true},
		{"nobody's languages are known", [][]string{nil, en}, [2]string{}, true, false},
	} {
		pair, needed, ok := needsInterpreter(c.people)
		if pair != c.pair || needed != c.needed || ok != c.ok {
			t.Errorf("%s: %v %v %v, want %v %v %v", c.why, pair, needed, ok, c.pair, c.needed, c.ok)
		}
	}
}
