package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/consilium-health/consilium/scheduling"
	"github.com/consilium-health/consilium/web/mail"
)

// What a mail server reads from the status of a program (sysexits.h): one sends the
// message back to who wrote it, with the sentence, the other hands it over again later.
const (
	exitBadMail = 65 // EX_DATAERR
	exitLater   = 75 // EX_TEMPFAIL
)

// runMailIn reads one message from standard input and keeps the answer of a calendar in
// it for the running service, which takes it within a minute. A message that is no
// answer to us goes back. What only the operator can mend loses none: the mail server
// tries again.
func runMailIn(ctx context.Context, e environment, args []string) error {
	rest, err := parse(e, flags("mail-in"), args)
	if err != nil || len(rest) > 0 {
		return errors.Join(&exit{exitLater, errors.New("mail-in takes no arguments")}, err)
	}
	c, err := load(false, e.getenv)
	if err != nil {
		return &exit{exitLater, err}
	}
	if c.MailServer == "" {
		return &exit{exitLater, errors.New("CONSILIUM_MAIL_AUTHSERV is not set: the name by which your mail server signs Authentication-Results")}
	}
	message, err := io.ReadAll(io.LimitReader(e.in, mail.MostOctets+1))
	if err != nil {
		return &exit{exitLater, fmt.Errorf("read message: %w", err)}
	}
	in, err := mail.Read(message, c.MailServer)
	if err != nil {
		return &exit{exitBadMail, fmt.Errorf("this address takes the answers of calendars to invitations only: %w", err)}
	}
	db, done, err := openRunning(ctx, c)
	if err != nil {
		return &exit{exitLater, err}
	}
	defer done()
	id, err := scheduling.ReceiveReply(ctx, db, in)
	switch {
	case errors.Is(err, scheduling.ErrForeignReply):
		return &exit{exitBadMail, errors.New("no invitation from here has the id that this message answers")}
	case errors.Is(err, scheduling.ErrNoAnswer):
		return &exit{exitBadMail, errors.New("this message says neither yes nor no")}
	case errors.Is(err, scheduling.ErrManyReplies):
		return &exit{exitBadMail, errors.New("so many answers to this invitation wait for a person that no more are taken")}
	case err != nil:
		return &exit{exitLater, err}
	}
	fmt.Fprintf(e.out, "kept as %s\n", id)
	return nil
}
