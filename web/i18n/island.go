package i18n

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Messages gives a script the messages of the reader's language whose ids begin with
// one of prefixes: the plural forms of each, with {{.Name}} where a value goes, which
// the script fills in by the same rules (CLDR).
func (l *Localizer) Messages(prefixes ...string) (map[ID]map[string]string, error) {
	out := map[ID]map[string]string{}
	files, err := catalogues.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("i18n: messages for a script: %w", err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "."+l.Tag()+".json") {
			continue
		}
		body, err := catalogues.ReadFile(f.Name())
		if err != nil {
			return nil, fmt.Errorf("i18n: messages for a script: %w", err)
		}
		var all map[ID]map[string]string
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, fmt.Errorf("i18n: messages for a script: %s: %w", f.Name(), err)
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
	return out, nil
}
