package workspace

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/consilium-health/consilium/credentialing/audit"
	"github.com/consilium-health/consilium/credentialing/identity"
)

// Names of the parts of a bundle. A document's parts stand in a folder of its kind
// and id.
const (
	partManifest    = "manifest.json"
	partCheckpoint  = "checkpoint.txt"
	partKeys        = "keys.json"
	partFHIR        = "fhir.json"
	partDocument    = "document.json"
	partSignature   = "signature.json"
	partEvidence    = "evidence.json"
	partLeaf        = "leaf.json"
	partEnrollment  = "enrollment.json"
	partConsistency = "since.json"
)

const (
	bundleFormat = "consilium/bundle/v1"
	trustFormat  = "consilium/trust/v1"
)

// manifest lists the parts; it follows from them byte for byte.
type manifest struct {
	Format string         `json:"format"`
	Parts  []manifestPart `json:"parts"`
}

type manifestPart struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// TrustFile says whom a verifier trusts: the log's key and the site of the passkeys.
// It comes from /.well-known/consilium-trust.json, never from the bundle.
type TrustFile struct {
	Format      string   `json:"format"` // consilium/trust/v1
	LogKey      string   `json:"log_key"`
	WitnessKeys []string `json:"witness_keys"`
	RPID        string   `json:"rp_id"`
	Origins     []string `json:"origins"`
}

// ReadTrustFile reads a trust file strictly.
func ReadTrustFile(data []byte) (*TrustFile, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var t TrustFile
	if err := dec.Decode(&t); err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	if t.Format != trustFormat || t.LogKey == "" || t.RPID == "" || len(t.Origins) == 0 {
		return nil, fmt.Errorf("trust file: not of format %s", trustFormat)
	}
	return &t, nil
}

// Trust is what this service publishes for verifiers.
func (s *Service) Trust() TrustFile {
	return TrustFile{Format: trustFormat, LogKey: s.signer.Public(), WitnessKeys: []string{}, RPID: s.rpID, Origins: s.origin}
}

// Bundle is the evidence of a case for whoever signed or answers for it: a zip that
// consilium verify checks without network or account.
func (s *Service) Bundle(ctx context.Context, actor identity.Actor, id CaseID, w io.Writer) error {
	var docs []documentRow
	parts := map[string][]byte{}
	err := s.write(ctx, actor, id, func(tx *audit.Tx, acc *access) error {
		if r := mayExport(actor, acc.Facts); r != nil {
			return acc.refuse(tx, actor, "bundle.refused", r, nil)
		}
		var err error
		if docs, err = selectDocuments(ctx, tx, id); err != nil {
			return err
		}
		tx.Append(acc.event(actor, "bundle.exported"))
		return nil
	})
	if err != nil {
		return err
	}
	checkpoint, err := s.db.Checkpoint(ctx, s.signer)
	if err != nil {
		return err
	}
	head, err := s.signer.Verifier().Open(checkpoint)
	if err != nil {
		return err
	}
	parts[partCheckpoint] = checkpoint
	if parts[partKeys], err = audit.Canonical(s.Trust()); err != nil {
		return err
	}
	var opened []document
	for _, row := range docs {
		folder := string(row.Kind) + "-" + string(row.ID) + "/"
		data, err := s.documentBytes(id, row)
		if err != nil {
			return err
		}
		doc, err := parseDocument(data, row.Kind)
		if err != nil {
			return err
		}
		opened = append(opened, doc)
		parts[folder+partDocument] = data
		parts[folder+partSignature] = row.record
		if parts[folder+partEvidence], err = s.blobs.keys.unseal(id, "document_signature", "evidence", string(row.ID), row.evidence); err != nil {
			return err
		}
		var record signatureRecord
		if err := decodeCanonical(row.record, &record); err != nil {
			return err
		}
		if err := s.addProof(ctx, parts, folder+partLeaf, row.Leaf, head.Size); err != nil {
			return err
		}
		if err := s.addProof(ctx, parts, folder+partEnrollment, record.EnrollmentLeaf, head.Size); err != nil {
			return err
		}
		if doc.After.Size > 0 {
			since, err := s.db.ProveConsistency(ctx, doc.After.Size, head.Size)
			if err != nil {
				return err
			}
			if parts[folder+partConsistency], err = audit.Canonical(since); err != nil {
				return err
			}
		}
	}
	if parts[partFHIR], err = fhirDocument(opened); err != nil {
		return err
	}
	return writeBundle(w, parts)
}

func (s *Service) addProof(ctx context.Context, parts map[string][]byte, name string, leaf, size int64) error {
	p, err := s.db.Prove(ctx, nil, leaf, size)
	if err != nil {
		return err
	}
	parts[name], err = audit.Canonical(p)
	return err
}

// writeBundle writes the parts with their manifest in the one way there is: sorted,
// stored, without times. A verifier writes it again and compares every byte.
func writeBundle(w io.Writer, parts map[string][]byte) error {
	m := manifest{Format: bundleFormat, Parts: []manifestPart{}}
	names := make([]string, 0, len(parts))
	for name := range parts {
		if name != partManifest {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		m.Parts = append(m.Parts, manifestPart{Name: name, Size: int64(len(parts[name])), SHA256: hexSum(parts[name])})
	}
	listed, err := audit.Canonical(m)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	add := func(name string, data []byte) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	}
	if err := add(partManifest, listed); err != nil {
		return err
	}
	for _, name := range names {
		if err := add(name, parts[name]); err != nil {
			return err
		}
	}
	return z.Close()
}

// BundleName is the file name of a case's bundle.
func BundleName(number string) string { return "consilium-" + strings.ToLower(number) + ".zip" }
