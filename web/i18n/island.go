package i18n

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Messages gives a script the messages of the reader's language whose ids begin with
// one of prefixes: the plural forms of each, with {{.Name}} where a value goes, which
// the script fills in by the same rules (CLDR). A message that the language lacks is
// given in the source's words.
func (l *Localizer) Messages(prefixes ...string) (map[ID]map[string]string, error) {
	out := map[ID]map[string]string{}
	for _, tag := range slices.Compact([]string{Languages[0].Tag, l.Tag()}) {
		if err := addMessages(out, tag, prefixes); err != nil {
			return nil, fmt.Errorf("i18n: messages for a script: %w", err)
		}
	}
	return out, nil
}

func addMessages(out map[ID]map[string]string, tag string, prefixes []string) error {
	files, err := catalogues.ReadDir(".")
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "."+tag+".json") {
			continue
		}
		body, err := catalogues.ReadFile(f.Name())
		if err != nil {
			return err
		}
		var all map[ID]map[string]string
		if err := json.Unmarshal(body, &all); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		for id, forms := range all {
			for _, p := range prefixes {
				if strings.HasPrefix(string(id), p) {
					delete(forms, "description")
					out[id] = forms
					break
				}
			}
		}
	}
	return nil
}
