package fhir

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Version is one version of a resource: what stood, and was known, from At on until the
// next. Its number never changes, since nothing is recorded of the past.
type Version struct {
	Number   int // from 1
	At       time.Time
	Resource Object // with its meta; nil: there is none any more
}

// ETag is the version as HTTP and FHIR name it.
func (v Version) ETag() string { return `W/"` + strconv.Itoa(v.Number) + `"` }

// resources are those of a type.
func (s Source) resources(kind string) []Object {
	switch kind {
	case "Practitioner":
		return []Object{s.Practitioner()}
	case "PractitionerRole":
		return s.PractitionerRoles()
	case "VerificationResult":
		return s.VerificationResults()
	}
	return nil
}

// Histories are the versions of all resources of a type, by id, the first first. Sources
// are of one person, in the order of their instants; what does not differ from the one
// before is no version.
func Histories(sources []Source, kind string) (map[string][]Version, error) {
	out, last := map[string][]Version{}, map[string]string{}
	for _, s := range sources {
		seen := map[string]bool{}
		for _, o := range s.resources(kind) {
			id, _ := o["id"].(string)
			seen[id] = true
			body, err := json.Marshal(o)
			if err != nil {
				return nil, fmt.Errorf("write %s %s: %w", kind, id, err)
			}
			if last[id] == string(body) {
				continue
			}
			last[id] = string(body)
			n := len(out[id]) + 1
			o["meta"] = Object{"versionId": strconv.Itoa(n), "lastUpdated": exact(s.At)}
			out[id] = append(out[id], Version{Number: n, At: s.At, Resource: o})
		}
		for id := range last {
			if !seen[id] && last[id] != "" {
				last[id] = ""
				out[id] = append(out[id], Version{Number: len(out[id]) + 1, At: s.At})
			}
		}
	}
	return out, nil
}

// Current are the resources of a type that there are now, in the order of their kind.
func Current(sources []Source, kind string) ([]Object, error) {
	all, err := Histories(sources, kind)
	if err != nil || len(sources) == 0 {
		return nil, err
	}
	var out []Object
	for _, o := range sources[len(sources)-1].resources(kind) {
		versions := all[o["id"].(string)]
		out = append(out, versions[len(versions)-1].Resource)
	}
	return out, nil
}

// Active tells whether a role is in force.
func Active(o Object) bool { return o["active"] == true }

// Matches tells whether a resource has an identifier as a search names it: a value, or a
// system and a value with a bar between, where no system is none.
func Matches(o Object, system string, anySystem bool, value string) bool {
	list, _ := o["identifier"].([]any)
	return slices.ContainsFunc(list, func(one any) bool {
		identifier, _ := one.(Object)
		has, _ := identifier["system"].(string)
		return identifier["value"] == value && (anySystem || has == system)
	})
}

// exact is an instant as FHIR writes it when a resource changed.
func exact(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
