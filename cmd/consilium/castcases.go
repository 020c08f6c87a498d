package main

import (
	"context"
	"fmt"

	"github.com/consilium-health/consilium/credentialing/identity"
	"github.com/consilium-health/consilium/credentialing/identity/demokey"
	"github.com/consilium-health/consilium/sessions/workspace"
)

// cases leaves one draft in Nairobi about Mrs Idris, with her consents, and one
// finished case in Riyadh, so that every page has something to show.
func (s *seeder) cases(ctx context.Context) error {
	if err := s.draft(ctx); err != nil {
		return fmt.Errorf("draft in Nairobi: %w", err)
	}
	if err := s.finished(ctx); err != nil {
		return fmt.Errorf("finished case in Riyadh: %w", err)
	}
	return nil
}

// draft is Dr Otieno's case about Mrs Idris.
func (s *seeder) draft(ctx context.Context) error {
	otieno, err := s.as(ctx, "otieno")
	if err != nil {
		return err
	}
	id, err := s.a.workspace.Create(ctx, otieno, workspace.NewCase{
		Specialty: "cardiology", Urgency: workspace.Soon, Place: "KE", Zone: "Africa/Nairobi", Languages: []string{"ar"},
		Patient:           workspace.Pseudonym{Initials: "S.I.", Sex: "female", BirthYear: s.cast.Day.Year() - 34, Person: s.cast.People["idris"]},
		Identity:          workspace.PatientIdentity{Name: "Salma Idris", Record: "DEMO-P-0001", Contact: "idris@example.org"},
		IdentityConfirmed: true,
		Clinical: workspace.Clinical{
			Language: "en", Title: "Breathless on the stairs, murmur since childhood",
			Question: workspace.Question{
				Asked:  "Is this an atrial septal defect that should be closed, and what should we measure before deciding?",
				Tried:  "Two weeks of a diuretic, little change.",
				Feared: "Rising pressure in the lungs if we wait too long.",
				ByWhen: "Within two weeks.",
			},
			History:    "Tires since the last pregnancy. No fainting, no fever. A murmur was heard in childhood and never followed.",
			Medication: "Furosemide 20 mg once a day.",
			Allergies:  []workspace.Allergy{{Substance: "Penicillin", Reaction: "rash", Severity: "moderate"}},
			Findings:   "Pulse 88 regular, pressure 118/74, fixed split second sound, soft systolic murmur at the left edge of the sternum.",
			Preference: "A woman as interpreter, if one is free.",
		},
	})
	if err != nil {
		return err
	}
	if err := s.a.workspace.ConfirmPlace(ctx, otieno, id, "KE", "asked"); err != nil {
		return err
	}
	for _, c := range s.consents("tremblay", "CA", []workspace.Class{workspace.ClassHistory, workspace.ClassLabs, workspace.ClassImages, workspace.ClassVideo}, "ar") {
		if _, err := s.a.workspace.RecordConsent(ctx, otieno, id, c); err != nil {
			return fmt.Errorf("consent %s: %w", c.Purpose, err)
		}
	}
	return nil
}

// consents are what a patient agrees to for a consult with one specialist.
func (s *seeder) consents(specialist, country string, classes []workspace.Class, language string) []workspace.ConsentRequest {
	giver := workspace.Giver{Kind: "patient"}
	who := s.cast.People[specialist]
	return []workspace.ConsentRequest{
		{Purpose: workspace.LiveConsult, Giver: giver, How: workspace.SpokenWitnessed, Language: language},
		{Purpose: workspace.Interpreter, Giver: giver, How: workspace.SpokenWitnessed, Language: language},
		{Purpose: workspace.Advice, Destination: country, Receiver: who, Giver: giver, How: workspace.SpokenWitnessed, Language: language},
		{Purpose: workspace.RecordSharing, Classes: classes, Destination: country, Receiver: who, Giver: giver, How: workspace.SpokenWitnessed, Language: language},
	}
}

// finished is a case of Dr Al-Harbi's, advised by Dr Weber, decided and handed back.
func (s *seeder) finished(ctx context.Context) error {
	alharbi, err := s.as(ctx, "alharbi")
	if err != nil {
		return err
	}
	weber, err := s.as(ctx, "weber")
	if err != nil {
		return err
	}
	w := s.a.workspace
	id, err := w.Create(ctx, alharbi, workspace.NewCase{
		Specialty: "cardiology", Urgency: workspace.Routine, Place: "SA", Zone: "Asia/Riyadh", Languages: []string{"ar"},
		Patient:           workspace.Pseudonym{Initials: "F.R.", Sex: "male", BirthYear: s.cast.Day.Year() - 61},
		IdentityConfirmed: true,
		Clinical: workspace.Clinical{
			Language: "en", Title: "Palpitations at night, normal resting trace",
			Question: workspace.Question{Asked: "Which monitoring would you choose before starting treatment?", Tried: "One day of recording, nothing seen.", Feared: "A rhythm that needs blood thinning.", ByWhen: "This month."},
			History:  "Palpitations twice a week for three months, minutes long, no fainting.", Findings: "Pressure 132/80, trace at rest normal.",
		},
	})
	if err != nil {
		return err
	}
	if err := w.ConfirmPlace(ctx, alharbi, id, "SA", "asked"); err != nil {
		return err
	}
	for _, c := range s.consents("weber", "DE", []workspace.Class{workspace.ClassHistory, workspace.ClassLabs}, "ar") {
		if _, err := w.RecordConsent(ctx, alharbi, id, c); err != nil {
			return fmt.Errorf("consent %s: %w", c.Purpose, err)
		}
	}
	if err := w.Submit(ctx, alharbi, id); err != nil {
		return err
	}
	if _, err := w.Candidates(ctx, alharbi, id); err != nil {
		return err
	}
	if err := w.Assign(ctx, alharbi, id, weber.Person); err != nil {
		return err
	}
	theirs, err := s.key(ctx, weber)
	if err != nil {
		return err
	}
	ours, err := s.key(ctx, alharbi)
	if err != nil {
		return err
	}
	advice, err := w.PrepareOpinion(ctx, weber, id, workspace.OpinionContent{
		Schema: 1, Language: "en", Understanding: "Short palpitations without warning signs; the question is how to catch them.",
		Assessment:      "Paroxysmal rhythm disturbance is possible; one day is too short to see it.",
		Differential:    []workspace.Likelihood{{Condition: "Atrial premature beats", Likelihood: "likely"}, {Condition: "Paroxysmal atrial fibrillation", Likelihood: "possible"}},
		Recommendations: []workspace.Recommendation{{ID: 1, Text: "Seven days of continuous recording before any treatment.", Strength: "strong", Urgency: "weeks"}, {ID: 2, Text: "Thyroid values and potassium.", Strength: "conditional", Urgency: "days"}},
		RedFlags:        "Fainting, chest pain, pulse above 150 at rest.", WouldChange: "A recorded episode.", Limits: "Given on the record alone, without seeing the patient.", Confidence: 4,
	})
	if err != nil {
		return err
	}
	response, err := theirs.Get(advice.Options)
	if err != nil {
		return err
	}
	opinion, err := w.SubmitOpinion(ctx, weber, id, advice.Request, response)
	if err != nil {
		return err
	}
	decision, err := w.PrepareDecision(ctx, alharbi, id, workspace.DecisionContent{
		Schema: 1, Language: "en", Outcome: workspace.AcceptWithChanges,
		Answers: []workspace.Answer{
			{Opinion: opinion, Recommendation: 1, Outcome: workspace.Accept},
			{Opinion: opinion, Recommendation: 2, Outcome: workspace.AcceptWithChanges, Reason: "Thyroid values were normal last month; potassium only."},
		},
		Plan: "Seven days of recording from Sunday, potassium today, visit when the recording is read.", ToldPatient: "What we look for and why we wait with tablets.", ToldLanguage: "ar",
	})
	if err != nil {
		return err
	}
	if response, err = ours.Get(decision.Options); err != nil {
		return err
	}
	if _, err := w.Sign(ctx, alharbi, id, decision.Request, response); err != nil {
		return err
	}
	if err := w.HandBack(ctx, alharbi, id, workspace.HandBackRequest{To: "family clinic", Summary: "Recording arranged; no treatment before it is read.", Language: "en"}); err != nil {
		return err
	}
	return w.Close(ctx, alharbi, id)
}

// key enrolls a demonstration key for a person. It is forgotten after the seed: it
// can sign nothing else.
func (s *seeder) key(ctx context.Context, actor identity.Actor) (*demokey.Key, error) {
	key, err := demokey.New(s.a.cfg.rpID(), s.a.cfg.Origin)
	if err != nil {
		return nil, err
	}
	ceremony, options, err := s.a.identity.BeginEnrollment(ctx, actor)
	if err != nil {
		return nil, err
	}
	made, err := key.Create(options)
	if err != nil {
		return nil, err
	}
	_, err = s.a.identity.FinishEnrollment(ctx, actor, ceremony, made, "seed")
	return key, err
}
