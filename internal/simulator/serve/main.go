// Command serve runs both vendors' simulators on loopback until it is
// interrupted. It prints the connectors' settings for them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/conductorone/baton-connectors/internal/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1) //nolint:gocritic // a process that ends needs no stop
	}
}

// serve starts both simulators and returns when ctx ends.
func serve(ctx context.Context, args []string, out, errs io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(errs)
	var size simulator.Size
	flags.IntVar(&size.Users, "users", 120, "how many users each vendor has")
	flags.IntVar(&size.Groups, "groups", 8, "how many groups each vendor has")
	flags.IntVar(&size.MembersPerGroup, "members", 12, "how many members a group has; the first is empty")
	flags.Func("group-sizes", "how many members each group has, such as 0,1,100; replaces --groups and --members", func(text string) error {
		for _, part := range strings.Split(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 0 {
				return fmt.Errorf("%q is not a number of members", part)
			}
			size.GroupSizes = append(size.GroupSizes, n)
		}
		return nil
	})
	latency := flags.Duration("latency", 0, "how long each answer takes")
	jitter := flags.Duration("jitter", 0, "how much longer some answers take")
	seed := flags.Int("seed", 1, "the seed of random jitter and faults")
	fast := flags.Bool("fast", false, "cache rendered rows, for benchmarks; the answers are the same")
	envFile := flags.String("env-file", "", "write the connectors' environment to this file when both simulators serve")
	story := flags.Bool("story", false, "serve the few people and groups of the demo")
	later := flags.Bool("later", false, "with -story: serve the next day, when some people have left or moved")
	list := flags.Bool("list-faults", false, "list the faults and exit")
	var faults []fault
	flags.Func("fault", "simulate a fault, such as rate-limit-seconds or server-error,every=20,path=/Users; may be repeated", func(text string) error {
		f, option, err := simulator.ParseFault(text)
		faults = append(faults, fault{f.Vendor, option})
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *list {
		for _, f := range simulator.Faults() {
			if _, err := fmt.Fprintf(out, "%-24s %-12s %-7s %s\n", f.Name, f.Vendor, f.Outcome, f.What); err != nil {
				return err
			}
		}
		return nil
	}
	options := func(vendor string) []simulator.Option {
		chosen := []simulator.Option{simulator.WithLatency(*latency, *jitter), simulator.WithSeed(*seed)}
		if *fast {
			chosen = append(chosen, simulator.WithFast())
		}
		for _, f := range faults {
			if f.vendor == "both" || f.vendor == vendor {
				chosen = append(chosen, f.option)
			}
		}
		return chosen
	}
	if *story {
		size = simulator.Size{Users: 9, GroupSizes: []int{0, 0, 0, 0}, WithoutAllMembers: true}
	}
	rudderStack := simulator.NewRudderStack(size, options("rudderstack")...).Start(nil)
	defer rudderStack.Close()
	guru := simulator.NewGuru(size, options("guru")...).Start(nil)
	defer guru.Close()
	if *story {
		groups := rudderStack.GroupIDs()
		rudderStack.Nest(groups[0], groups[2])
		tell(rudderStack.Server, *later)
		tell(guru.Server, *later)
	}

	env := environment(append(rudderStack.Env(), guru.Env()...))
	if *envFile != "" {
		if err := writeWhole(*envFile, env); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(out, env); err != nil {
		return err
	}
	<-ctx.Done()
	for _, s := range []*simulator.Server{rudderStack.Server, guru.Server} {
		for _, violation := range s.Violations() {
			return fmt.Errorf("a connector sent %s", violation)
		}
	}
	return nil
}

// tell names and fills four groups for the demo. With later, one user has left,
// one is disabled and one has moved.
func tell(s *simulator.Server, later bool) {
	users, groups := s.UserIDs(), s.GroupIDs()
	for i, name := range []string{"Analytics", "Billing", "Data Engineering", "Support"} {
		s.EditGroup(groups[i], func(t *simulator.Team) { t.Name = name })
	}
	for group, members := range [][]int{{0, 1, 2}, {2, 3}, {4, 5, 6}, {6, 7}} {
		for _, member := range members {
			s.AddMember(groups[group], users[member])
		}
	}
	if !later {
		return
	}
	s.DeleteUser(users[7])
	s.Disable(users[3])
	s.RemoveMember(groups[2], users[5])
	s.AddMember(groups[1], users[5])
}

type fault struct {
	vendor string
	option simulator.Option
}

// environment formats lines for a shell to source.
func environment(pairs []string) string {
	var b strings.Builder
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}

// writeWhole writes a file that appears with all of its text at once.
func writeWhole(path, text string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // it is gone where all went well
	if _, err := temporary.WriteString(text); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
