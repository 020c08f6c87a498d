// Command consultbot joins synthetic participants to rooms of any server of the LiveKit
// protocol and says what they saw: joins, loss, gaps, delay.
//
//	consultbot --url ws://127.0.0.1:7880 --key KEY --secret SECRET --rooms 2 --publishers 3 --subscribers 5 --duration 30s
//
// Its second way is a poor link in front of a TCP address, such as the relay's, to see
// what people on one see. Lines of its input change the link: a shape, or "cut", which
// ends every connection as when a phone changes networks.
//
//	consultbot link --listen 127.0.0.1:4443 --to 127.0.0.1:5349 --shape "kbits=150 delay=60ms loss=0.1"
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/consilium-health/consilium/cmd/consultbot/bot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) > 1 && os.Args[1] == "link" {
		err = runLink(ctx, os.Stdin, os.Stdout, os.Stderr, os.Args[2:])
	} else {
		err = run(ctx, os.Stdout, os.Stderr, os.Args[1:])
	}
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "consultbot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, problems io.Writer, args []string) error {
	f := flag.NewFlagSet("consultbot", flag.ContinueOnError)
	f.SetOutput(problems)
	var cfg bot.Config
	f.StringVar(&cfg.URL, "url", "ws://127.0.0.1:7880", "address of the server, ws:// or wss://")
	f.StringVar(&cfg.Key, "key", "", "API key")
	f.StringVar(&cfg.Secret, "secret", "", "API secret")
	f.StringVar(&cfg.Prefix, "prefix", "bot-", "names of rooms are this and a number")
	f.IntVar(&cfg.Rooms, "rooms", 1, "rooms")
	f.IntVar(&cfg.AV, "publishers", 2, "publishers of sound and picture in each room")
	f.IntVar(&cfg.Audio, "audio", 0, "publishers of sound alone in each room")
	f.IntVar(&cfg.Subscribers, "subscribers", 0, "participants of each room who only receive")
	f.BoolVar(&cfg.Mutual, "mutual", true, "publishers receive each other")
	f.DurationVar(&cfg.JoinGap, "join-gap", 30*time.Millisecond, "time between joins")
	f.DurationVar(&cfg.Warm, "warm", 2*time.Second, "time after the last join before packets are counted")
	f.DurationVar(&cfg.Window, "duration", 10*time.Second, "time in which packets are counted")
	asJSON := f.Bool("json", false, "print one JSON object")
	if err := f.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if f.NArg() > 0 || cfg.Key == "" || cfg.Secret == "" || cfg.Rooms < 1 || cfg.AV+cfg.Audio < 1 {
		f.Usage()
		return flag.ErrHelp
	}
	r, err := bot.Run(ctx, cfg)
	if err != nil {
		return err
	}
	for _, e := range r.Errors {
		fmt.Fprintln(problems, "consultbot:", e)
	}
	if *asJSON {
		r.Errors = nil
		return json.NewEncoder(out).Encode(r)
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Fprintf(out, "participants  %d, %d could not join\n", r.Participants, r.JoinErrors)
	fmt.Fprintf(out, "tracks        %d of %d carried packets\n", r.Tracks, r.Wanted)
	fmt.Fprintf(out, "packets       %d sent, %d received in %.1f s, %d lost\n", r.Sent, r.Received, r.Seconds, r.Lost)
	fmt.Fprintf(out, "sound         %d silences above 300 ms, the longest %.0f ms\n", r.Gaps, ms(r.LongestGap))
	fmt.Fprintf(out, "delay         p50 %.2f ms, p99 %.2f ms\n", ms(r.DelayP50), ms(r.DelayP99))
	fmt.Fprintf(out, "join          p50 %.0f ms, p99 %.0f ms to the first packet\n", ms(r.JoinP50), ms(r.JoinP99))
	if r.JoinErrors > 0 || r.Tracks < r.Wanted {
		return errors.New("not everybody received everything")
	}
	return nil
}
