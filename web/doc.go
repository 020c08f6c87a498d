// Package web shows Consilium to people: routes, pages, forms, and the one table
// that turns errors into answers. It decides nothing; every rule lives in the rooms
// below, and every command goes down to one of their services.
//
// # How to add a page
//
// Four files, all of the page's area (case, booking, calendar, room, officer; core is the rest):
//
//	web/booking.go               handlers, and the area's routes
//	web/pages/booking.templ      the page's struct and its component
//	web/i18n/active.booking.*.json   its messages in en, fr and ar
//	web/i18n/ids_booking.go      its message ids as constants
//
// Run "make generate" (go tool templ generate -path web) after each change and commit the
// generated file too.
//
// # Route and policy
//
// An area has one function that lists its addresses in the order of the site:
//
//	func (s *Server) bookingRoutes() []route {
//		return []route{
//			{http.MethodGet, "/appointments", member, s.appointments},
//			{http.MethodGet, "/appointments/{appointment}", someone, s.appointment},
//			{http.MethodPost, "/appointments/{appointment}/cancel", member, s.cancelAppointment},
//		}
//	}
//
// The third field says who may come in at all: everyone, someone (signed in, also a
// guest by a link), member (no guest), holding(identity.RoleOfficer, …). Whoever is
// not signed in is sent to sign in and comes back. A way in (a link, a sign-in) is
// wrapped in s.slowly, which limits the tries of an address. The service behind asks again, for
// the object. GET changes nothing.
//
// # Handler
//
// A handler answers and returns nil, or returns an error, which the table in
// errors.go turns into a page with a status, a message and a level of log:
//
//	func (s *Server) appointment(w http.ResponseWriter, r *http.Request) error {
//		a, err := s.d.Scheduling.Appointment(r.Context(), actorOf(r), scheduling.AppointmentID(r.PathValue("appointment")))
//		if err != nil {
//			return fmt.Errorf("appointment page: %w", err)
//		}
//		p := pages.AppointmentPage{…}
//		if p.Layout, err = s.layout(w, r, i18n.BookingTitle); err != nil {
//			return err
//		}
//		return s.render(w, r, http.StatusOK, pages.Appointment(p))
//	}
//
// r.PathValue gives the parts of the address, actorOf(r) who acts (with Language and
// Zone), localizer(r) the reader's texts, s.now() the time. s.layout takes a message
// id for the title, s.titled a title that is data. p.Crumbs and p.Scripts may be set
// after it: p.Scripts = s.scripts("app.js", "room.js"). A new error of a room gets
// its row in errorTable, with a message in the area's catalogue. A script that says
// Accept: application/json gets {"error": text, "reference": id} instead of a page.
//
// # Page
//
// A page has a struct that embeds pages.Layout, and a component that frames itself:
//
//	type AppointmentPage struct {
//		Layout
//		Form Form
//		…
//	}
//
//	templ Appointment(p AppointmentPage) {
//		@Page(p.Layout) {
//			<section class="card" aria-labelledby="when"> <h2 id="when">{ p.T(i18n.BookingWhen) }</h2>
//				@Span(p.Layout, p.Start, p.End)
//			</section>
//		}
//	}
//
// Texts: p.T(id, i18n.V{"Name": x}) for plain text (attributes), p.N(id, n) with
// {{.Count}} for plurals, @Msg(p.Layout, id, i18n.V{…}) where a sentence holds a name
// or a time: it writes <bdi> around each value. A value may be a time.Time (written in
// the reader's zone), an i18n.Lang or an i18n.Place (written by name). Never glue
// sentences. Codes of refusals and explanations: p.Sentence(e.MessageID, e.Data).
// Times: @Time, @Day, @Clock, @Span (reader's zone, zone printed), @ClockIn for
// somebody else's clock. Names of people stand in <bdi>, free text in dir="auto",
// numbers, mail and license numbers in dir="ltr". States: @Tag(LevelOK, word).
// Icons: @Icon(p.Layout, "video") beside a word, never instead of one.
//
// The layout writes the h1; pages begin with h2. Classes that exist: card, cols, row,
// stack, grow, list, kv (dl), tag, notice, measure, scroll (round a wide table), sm,
// mut, vh; button (also for links), ghost, danger, small. New rules go into the
// layer pages of static/app.css, in a block of your own, with logical properties only
// (margin-inline-start, never margin-left) and tokens for colors. There is no style
// attribute: the policy forbids it.
//
// # Form
//
// A form is a plain POST that works without script, and answers with a redirect:
//
//	f, err := s.form(w, r)              // s.upload(w, r, limit) for files
//	if err != nil {
//		return err
//	}
//	question := f.Require(localizer(r), "question", i18n.CaseQuestion, 4000)
//	kind := f.Choose(localizer(r), "kind", i18n.CaseKind, "advice", "visit")
//	if f.OK() {
//		id, err := s.d.Workspace.Create(r.Context(), actorOf(r), …)
//		if err == nil {
//			return s.done(w, r, "/cases/"+string(id), pages.LevelOK, i18n.CaseCreated)
//		}
//		_, text, ok := s.explain(err)
//		if !ok {
//			return err                 // unexpected: the error page
//		}
//		f.Fail("", text)               // "" is the form as a whole
//	}
//	return s.renderNewCase(w, r, http.StatusUnprocessableEntity, f)
//
// What the person typed is kept: the page gets the Form and hands it to the fields
// @Input, @TextArea, @Select, @Radios, @Checks, @Check, @File with a pages.Field;
// @ErrorSummary stands above the form, takes the focus and links to the fields. A
// status of 422 tells htmx to show the page as well. f.Prefill(field, stored) fills a
// form that was not sent yet. A command that must not happen twice carries
// @HiddenKey(p.Form); its handler reads f.Value("key"). An edit carries
// @Hidden("version", …). Messages that s.done shows stand in the map flashable of
// core.go: they have no variables.
//
// # Signing
//
// A form that is signed with a passkey has data-passkey="sign" and
// data-options={ publicKey options as JSON } and holds @SignWith(p.Layout);
// p.Scripts needs "passkey.js". The handler reads f.Value("assertion"): the JSON of
// the browser's PublicKeyCredential, which goes to identity.VerifyAssertion.
//
// A command that needs a fresh login (identity.ErrStepUp: approving, granting) has a
// form with data-passkey="confirm" that holds @PasskeyTexts(p.Layout): the script
// asks for the passkey first and then sends the form.
//
// # Parts of a page
//
// An element with hx-get, hx-target="#slots" and hx-select="#slots" replaces that
// part by the same part of the full answer: nothing to write in the handler. Without
// script the same address shows the whole page.
//
// # What waits
//
// The start page asks each area what waits for the visitor: a function of type
// waiting, listed in home.go.
//
// # Addresses
//
//	/                                     what waits for me
//	/sign-in /sign-out /profile /demo /outbox /language
//	/profile/messages                     how one is written to (area contact)
//	/cases /cases/new /cases/{case} …     area case
//	/cases/{case}/times                   find a time and book (area booking)
//	/appointments /appointments/{appointment} …   area booking
//	/availability                         area booking
//	/calendar /calendar/{token}/consilium.ics     area calendar
//	/zone-changes /zone-changes/{item}    area calendar
//	/invite/{token}                       invitation link of a guest (area booking)
//	/answer/{token}                       link by which an interpreter answers (area answer)
//	/sessions/{appointment}               door, lobby and room (area room)
//	/sessions/{session}/feed              its WebSocket
//	/credentials …                        area officer
//	/credentials/try                      a question at one instant as known at another, also as JSON (area then)
//	/renew/{token}                        link of a reminder: send the renewed document (area upload)
//	/fhir/…                               FHIR R4, read only (web/fhir)
package web
