package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStandingCastIsInOrder(t *testing.T) {
	c, err := readCast("")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.People) == 0 || !c.standing {
		t.Errorf("got %+v", c)
	}
}

func TestCastFileSaysWhatIsWrong(t *testing.T) {
	const good = `{"officers":["a","b"],"exclusion_lists":["L"],"organizations":[{"key":"o","name":"O","kind":"hospital","zone":"Asia/Amman","place":"JO"}],
		"people":[{"key":"a","name":"A","title":"x","roles":["credentialing_officer"],"organization":"o","zone":"Asia/Amman","language":"en","languages":["en"]},
			{"key":"b","name":"B","title":"x","roles":["credentialing_officer"],"organization":"o","zone":"Asia/Amman","language":"en","languages":["en"],
			"hours":[{"freq":"weekly","days":["MO"],"start":"08:00","end":"17:00"}]}],
		"credentials":[{"person":"a","kind":"licence","issuer":"I","number":"1","place":"JO","from":"2020-01-01","to":"D+300"}],
		"agreements":[]}`
	for name, test := range map[string]struct{ from, to, want string }{
		"as it is":              {"", "", ""},
		"unknown field":         {`"place":"JO"}]`, `"place":"JO","beds":3}]`, "beds"},
		"one officer twice":     {`["a","b"]`, `["a","a"]`, "two people"},
		"officer of nobody":     {`["a","b"]`, `["a","c"]`, `"c" is nobody`},
		"no such organization":  {`"organization":"o","zone":"Asia/Amman","language":"en","languages":["en"],`, `"organization":"q","zone":"Asia/Amman","language":"en","languages":["en"],`, `no organization "q"`},
		"a day of neither form": {`"D+300"`, `"300"`, "neither a date"},
		"a day without a sign":  {`"D+300"`, `"D300"`, "is not a day"},
		"no end":                {`,"to":"D+300"`, "", "from and to are needed"},
		"holder of nobody":      {`{"person":"a"`, `{"person":"z"`, `nobody "z"`},
		"agreement with nobody": {`"agreements":[]`, `"agreements":[{"from":"o","to":"p"}]`, "no such organization"},
		"two objects":           {`"agreements":[]}`, `"agreements":[]} {}`, "more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.from != "" && strings.Count(good, test.from) != 1 {
				t.Fatalf("%q stands %d times", test.from, strings.Count(good, test.from))
			}
			file := filepath.Join(t.TempDir(), "cast.json")
			if err := os.WriteFile(file, []byte(strings.Replace(good, test.from, test.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readCast(file)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}
