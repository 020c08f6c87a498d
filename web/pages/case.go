package pages

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/consilium-health/consilium/sessions/workspace"
	"github.com/consilium-health/consilium/web/i18n"
)

// CaseReason is why something is refused, as a sentence with the rule behind it.
type CaseReason struct {
	Sentence string
	Rule     string // in the rule's own words; "" if no rule is behind it
	Source   string
}

// CasesPage lists the reader's cases and, for coordinators, those of the clinic.
type CasesPage struct {
	Layout
	Mine   []workspace.Item
	Board  []workspace.Item
	MayNew bool
}

// CaseFormPage is one step of the form for a case.
type CaseFormPage struct {
	Layout
	Form         Form
	Step         string // patient, question, history
	Case         string // "" for a new one
	Number       string
	Known        []workspace.KnownPatient
	Places       []string
	Languages    []string
	Tongues      []string // languages of patients
	OtherTongues []Option
	Allergies    int
}

// CaseSteps are the steps of the form, in order.
var CaseSteps = []string{"patient", "question", "history"}

// CaseSpecialties are the codes of the specialties that can be asked.
var CaseSpecialties = []string{"cardiology", "neurology", "neurosurgery", "oncology", "radiology", "ophthalmology", "obstetrics", "paediatrics", "infectious_diseases"}

// CaseUrgencies are the urgencies.
var CaseUrgencies = []workspace.Urgency{workspace.Routine, workspace.Soon, workspace.Urgent, workspace.Emergency}

// CasePage is a case.
type CasePage struct {
	Layout
	Form Form // of a message or a file that came back
	workspace.View
	You          string // person id
	AskedBy      string
	Clinic       string
	SpecialistOf *CaseSpecialist
	Visits       []AppointmentRow
	Scope        []CaseReason
	Image        string    // file shown in the viewer
	Next         string    // what to do next: a case.next id's last part
	Lost         []HeldWhy // who may not do their part at the moment
	Closed       []CaseReason
	FileReasons  map[workspace.FileID]string
	Needs        bool // the reader may read what the patient asks for
	Actionable   bool
}

// CaseSpecialist is the specialist's card.
type CaseSpecialist struct {
	Name      string
	Specialty string
	Languages []string
	Zone      string
}

// CaseConsentsPage shows and records consents.
type CaseConsentsPage struct {
	Layout
	Form      Form
	Case      string
	Number    string
	Consents  []workspace.Consent
	Names     map[string]string // of people and organizations by id
	Receivers []Option
	Texts     []CaseText // empty until language and receiver are chosen
	Language  string
	Languages []string
	May       bool
	Reviewed  bool
	Now       time.Time
}

// CaseText is one text the patient may agree to.
type CaseText struct {
	Key  string // purpose, or purpose and class
	Name string
	Text string
}

// CaseTriagePage lists specialists.
type CaseTriagePage struct {
	Layout
	Case   string
	Place  string
	May    []CaseCandidate
	MayNot []CaseCandidate
	Error  *Flash
}

// CaseCandidate is one specialist of the list.
type CaseCandidate struct {
	ID        string
	Name      string
	Center    string
	Home      string
	Languages []string
	Visit     bool
	Shares    bool
	Before    []string
	Lead      CaseReason
	All       []string
}

// CaseIdentityPage shows who the patient is.
type CaseIdentityPage struct {
	Layout
	Case     string
	Identity workspace.PatientIdentity
}

// CaseOpinionPage is the opinion editor.
type CaseOpinionPage struct {
	Layout
	Form      Form
	Case      string
	Version   int
	Clinical  *workspace.Clinical
	Patient   string
	Files     []workspace.FileView
	Languages []string
	Scope     []CaseReason
	Saved     bool
}

// Rows of the opinion editor: what an opinion usually needs; more fits in the text.
const (
	CaseDiagnoses       = 4
	CaseRecommendations = 5
	CaseCards           = 4
	CaseAllergies       = 3
)

// CaseDecisionPage is the form of a decision.
type CaseDecisionPage struct {
	Layout
	Form      Form
	Case      string
	Opinions  []workspace.SignedDocument
	Cards     []workspace.ReadBack
	Languages []string
	Tongues   []string
}

// CaseSignPage shows exactly what is signed.
type CaseSignPage struct {
	Layout
	Case     string
	Prepared workspace.Prepared
	Opinions []workspace.SignedDocument // that a decision answers
	Files    []string                   // names of the files that the document vouches for
	Form     Form
	NoKey    bool
	DemoKeys bool
}

func caseURL(id string, rest ...string) string {
	out := "/cases/" + id
	for _, r := range rest {
		out += "/" + r
	}
	return out
}

// CaseStateLevel is the color of a state.
func caseStateLevel(s workspace.State) Level {
	switch s {
	case workspace.Decided, workspace.HandedBack:
		return LevelOK
	case workspace.Returned, workspace.Declined, workspace.Withdrawn:
		return LevelWarn
	default:
		return LevelInfo
	}
}

func (p CasePage) name(id string) string {
	for who, person := range p.People {
		if string(who) == id {
			return person.Name
		}
	}
	return ""
}

func (p CasePage) images() []workspace.FileView {
	var out []workspace.FileView
	for _, f := range p.Files {
		if f.Refusal == nil && (f.MediaType == "image/png" || f.MediaType == "image/jpeg") {
			out = append(out, f)
		}
	}
	return out
}

func (p CasePage) shown() (workspace.FileView, bool) {
	all := p.images()
	for _, f := range all {
		if string(f.ID) == p.Image {
			return f, true
		}
	}
	if len(all) > 0 {
		return all[0], true
	}
	return workspace.FileView{}, false
}

// inForce lists the consents that count now.
func (p CasePage) inForce() []workspace.Consent {
	var out []workspace.Consent
	for _, c := range p.Consents {
		if c.InForce(p.Now) {
			out = append(out, c)
		}
	}
	return out
}

func consentName(l Layout, c workspace.Consent) string {
	name := l.T(i18n.ID("case.purpose." + string(c.Purpose)))
	if c.Class != "" {
		return l.T(i18n.CasePurposeClass, i18n.V{"Purpose": name, "Class": l.T(i18n.ID("case.class." + string(c.Class)))})
	}
	return name
}

func (p CaseConsentsPage) to(c workspace.Consent) string {
	name := p.Names[string(c.Receiver)]
	if name == "" {
		name = p.Names[string(c.ReceiverOrganization)]
	}
	return name
}

// cardText is a card in one line, digits as digits.
func cardText(l Layout, b workspace.ReadBackFields) string {
	switch b.Kind {
	case "dose":
		return b.Drug + " " + b.Dose + " " + b.Unit + ", " + b.Route + ", " + b.Frequency
	case "allergy":
		return b.Substance
	case "laterality":
		return b.Site + ": " + l.T(i18n.ID("case.side."+b.Side))
	default:
		return b.What + ": " + b.Date
	}
}

func caseOptions[T ~string](l Layout, prefix string, codes ...T) []Option {
	out := make([]Option, len(codes))
	for i, c := range codes {
		out[i] = Option{Value: string(c), Text: l.T(i18n.ID(prefix + string(c)))}
	}
	return out
}

func languageChoices(l Layout, tags []string) []Option {
	var out []Option
	for _, tag := range tags {
		out = append(out, Option{Value: tag, Text: l.Language(tag)})
	}
	return out
}

func placeChoices(l Layout, codes []string) []Option {
	var out []Option
	for _, c := range codes {
		out = append(out, Option{Value: c, Text: l.Place(c)})
	}
	slices.SortFunc(out, func(a, b Option) int {
		if a.Text < b.Text {
			return -1
		}
		return 1
	})
	return out
}

func numbered(name string, i int, field string) string {
	return name + "-" + strconv.Itoa(i) + "-" + field
}

// answerName is the name of a decision's field about one recommendation.
func answerName(opinion workspace.DocumentID, recommendation int, field string) string {
	return "answer-" + string(opinion) + "-" + strconv.Itoa(recommendation) + "-" + field
}

func (p CaseSignPage) recommendation(a workspace.Answer) string {
	for _, o := range p.Opinions {
		if o.ID == a.Opinion && a.Recommendation <= len(o.Opinion.Recommendations) {
			return o.Opinion.Recommendations[a.Recommendation-1].Text
		}
	}
	return ""
}

func challengeText(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
