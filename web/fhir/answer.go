package fhir

import (
	"strings"
	"time"
)

// resourceTypes are the types of resources that the API has, with what finds them.
var resourceTypes = []struct {
	name   string
	search [][2]string // names and types of parameters
}{
	{"Practitioner", [][2]string{{"_id", "token"}, {"identifier", "token"}}},
	{"PractitionerRole", [][2]string{{"_id", "token"}, {"practitioner", "reference"}}},
	{"VerificationResult", [][2]string{{"_id", "token"}, {"target", "reference"}}},
}

// Searches tells whether a type of resource is found by a parameter.
func Searches(kind, param string) bool {
	for _, t := range resourceTypes {
		for _, p := range t.search {
			if t.name == kind && p[0] == param {
				return true
			}
		}
	}
	return false
}

func address(base string, o Object) string {
	return base + "/" + o["resourceType"].(string) + "/" + o["id"].(string)
}

// Bundle is a searchset of resources at their addresses.
func Bundle(base, self string, at time.Time, list []Object) Object {
	var entries []any
	for _, o := range list {
		entries = append(entries, Object{"fullUrl": address(base, o), "resource": o, "search": Object{"mode": "match"}})
	}
	b := Object{"resourceType": "Bundle", "type": "searchset", "total": len(list), "timestamp": instant(at), "link": []any{Object{"relation": "self", "url": self}}}
	put(b, "entry", entries)
	return b
}

// HistoryBundle lists versions of one resource, the newest first; total is how many there
// are, also when only some are listed.
func HistoryBundle(base, self string, at time.Time, kind, id string, total int, list []Version) Object {
	var entries []any
	for _, v := range list {
		e := Object{"fullUrl": base + "/" + kind + "/" + id}
		how := Object{"status": "200", "lastModified": exact(v.At), "etag": v.ETag()}
		request := Object{"method": "PUT", "url": kind + "/" + id}
		switch {
		case v.Resource == nil:
			request["method"], how["status"] = "DELETE", "204"
		case v.Number == 1:
			how["status"] = "201"
		}
		if v.Resource != nil {
			e["resource"] = v.Resource
		}
		e["request"], e["response"] = request, how
		entries = append(entries, e)
	}
	b := Object{"resourceType": "Bundle", "type": "history", "total": total, "timestamp": instant(at), "link": []any{Object{"relation": "self", "url": self}}}
	put(b, "entry", entries)
	return b
}

// Outcome says why something was refused, in the words of FHIR R4 issue-type.
func Outcome(code, text string) Object {
	return Object{"resourceType": "OperationOutcome", "issue": []any{Object{"severity": "error", "code": code, "details": Object{"text": text}}}}
}

// Capability is what the API does.
func Capability(base string, at time.Time) Object {
	var resources []any
	for _, t := range resourceTypes {
		var params, interactions []any
		for _, p := range t.search {
			params = append(params, Object{"name": p[0], "type": p[1]})
		}
		for _, code := range []string{"read", "vread", "history-instance", "search-type"} {
			interactions = append(interactions, Object{"code": code})
		}
		resources = append(resources, Object{"type": t.name, "interaction": interactions, "versioning": "versioned", "readHistory": true, "searchParam": params})
	}
	return Object{"resourceType": "CapabilityStatement", "status": "active", "date": instant(at), "kind": "instance", "fhirVersion": "4.0.1",
		"format": []any{"application/fhir+json"}, "implementation": Object{"description": "Consilium", "url": strings.TrimSuffix(base, "/")},
		"software": Object{"name": "Consilium"}, "rest": []any{Object{"mode": "server", "resource": resources}}}
}
