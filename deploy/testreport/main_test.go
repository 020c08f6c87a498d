package main

import (
	"strings"
	"testing"
)

func TestReportCountsLeavesAndFailedPackages(t *testing.T) {
	in := `{"Action":"pass","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a","Test":"TestTwo/x"}
{"Action":"output","Package":"a","Test":"TestTwo/y","Output":"why\n"}
{"Action":"fail","Package":"a","Test":"TestTwo/y"}
{"Action":"fail","Package":"a","Test":"TestTwo"}
{"Action":"pass","Package":"a","Test":"TestFour/x"}
{"Action":"fail","Package":"a","Test":"TestFour"}
{"Action":"fail","Package":"a"}
{"Action":"output","Package":"b","Output":"panic in init\n"}
{"Action":"fail","Package":"b"}
{"Action":"pass","Package":"c","Test":"TestThree"}
{"Action":"pass","Package":"c","Elapsed":0.5}
`
	var out strings.Builder
	passed, failed := report(strings.NewReader(in), &out)
	if passed != 4 || failed != 3 {
		t.Errorf("got %d passed, %d failed; want 4 and 3\n%s", passed, failed, out.String())
	}
	for _, want := range []string{"why", "panic in init", "ok    c"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
