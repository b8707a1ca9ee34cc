package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/conductorone/baton-sdk/pkg/cli"
	"github.com/conductorone/baton-sdk/pkg/field"
	"github.com/spf13/cobra"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/directory"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// checkResult is the result of check. Its JSON form is documented in
// docs/operations.md.
type checkResult struct {
	Connector string `json:"connector"`
	Version   string `json:"version"`
	// Facts are the vendor's statements about the credential and its API.
	Facts    []directory.Fact `json:"facts"`
	Users    checkedList      `json:"users"`
	Groups   checkedList      `json:"groups"`
	Members  checkedList      `json:"memberships"`
	Requests int64            `json:"requests"`
	Warnings []string         `json:"warnings"`
}

// checkedList is the first page of a list.
type checkedList struct {
	// Rows is the number of rows on the page.
	Rows int `json:"rows"`
	// More is set if the list has further pages.
	More bool `json:"more"`
	// Total is the vendor's own count; 0 if it states none.
	Total int `json:"total,omitempty"`
	// Group is the name of the group whose members were read; empty for the
	// members of all groups.
	Group string `json:"group,omitempty"`
}

func newCheckCommand[T field.Configurable](ctx context.Context, p *program[T]) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the settings and the credential",
		Long: "Check the settings and the credential: read the first page of each list that a sync reads, and\n" +
			"print what is there. This writes nothing. The exit codes are the same as for a sync.",
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			p.flags.set.AddFlagSet(cmd.Flags())
			return p.checkSettings()
		},
		RunE: func(*cobra.Command, []string) error {
			result, err := p.check(ctx)
			if err != nil {
				return err
			}
			say(os.Stdout, func(w io.Writer) {
				if p.wantsJSON() {
					_ = writeJSON(w, result)
					return
				}
				_, _ = io.WriteString(w, result.text())
			})
			return nil
		},
	}
}

func (p *program[T]) check(ctx context.Context) (*checkResult, error) {
	ignoreBrokenPipes()
	warned := &warnings{}
	if isTerminal(os.Stderr) {
		warned.show = func(text string) { fmt.Fprintf(os.Stderr, "%s: warning: %s\n", p.info.Name, text) }
	}
	ctx, err := p.startLog(ctx, warned)
	if err != nil {
		return nil, err
	}
	timeout, err := p.httpTimeout()
	if err != nil {
		return nil, err
	}
	cfg, err := p.configuration()
	if err != nil {
		return nil, err
	}
	c, err := p.connect(rest.WithTimeout(ctx, timeout), cfg, cli.RunTimeOpts{
		SyncResourceTypeIDs: p.v.GetStringSlice("sync-resource-types"),
	}, false) // only first pages are read
	if err != nil {
		return nil, err
	}
	out := &checkResult{Connector: p.info.Name, Version: p.version}
	if err := c.source.Check(ctx); err != nil {
		return nil, p.failed("check the credentials", err)
	}
	users, err := c.source.Users(ctx, "")
	if err != nil {
		return nil, p.failed("list users", err)
	}
	out.Users = checkedList{Rows: len(users.Rows), More: users.Next != "", Total: users.Total}
	if syncsGroups(p.v.GetStringSlice("sync-resource-types")) {
		if err := p.checkGroups(ctx, c.source, out); err != nil {
			return nil, err
		}
	}
	if describer, ok := c.source.(directory.Describer); ok {
		if out.Facts, err = describer.Describe(ctx); err != nil {
			return nil, p.failed("describe the credential", err)
		}
	}
	out.Requests = c.stats.Requests()
	out.Warnings = append([]string{}, warned.list()...)
	return out, nil
}

// checkGroups reads the first page of groups and of members.
func (p *program[T]) checkGroups(ctx context.Context, source directory.Source, out *checkResult) error {
	groups, err := source.Groups(ctx, "")
	if err != nil {
		return p.failed("list groups", err)
	}
	out.Groups = checkedList{Rows: len(groups.Rows), More: groups.Next != "", Total: groups.Total}
	if many, ok := source.(directory.Memberships); ok {
		page, err := many.Memberships(ctx, "")
		if err != nil {
			return p.failed("list group memberships", err)
		}
		out.Members = checkedList{Rows: len(page.Rows), More: page.Next != "" || len(page.Siblings) > 0}
		return nil
	}
	if len(groups.Rows) == 0 {
		return nil
	}
	page, err := source.Members(ctx, groups.Rows[0].ID, "")
	if err != nil {
		return p.failed("list the members of a group", err)
	}
	out.Members = checkedList{Rows: len(page.Rows), More: page.Next != "", Group: groups.Rows[0].Name}
	return nil
}

// failed puts the connector's name and the activity before an error.
func (p *program[T]) failed(doing string, err error) error {
	return fmt.Errorf("%s: %s: %w", p.info.Name, doing, err)
}

// text returns the result for a user to read.
func (r *checkResult) text() string {
	var b strings.Builder
	line := func(what, text string) { fmt.Fprintf(&b, "  %-12s  %s\n", what, text) }
	fmt.Fprintf(&b, "%s: the settings and the credential work\n", r.Connector)
	for _, fact := range r.Facts {
		line(fact.Name, fact.Value)
	}
	line("users", r.Users.text())
	line("groups", r.Groups.text())
	members := r.Members.text()
	if r.Members.Group != "" {
		members += fmt.Sprintf(", in the group %q", r.Members.Group)
	}
	line("memberships", members)
	fmt.Fprintf(&b, "  %-12s  %s\n", "requests", connector.Thousands(int(r.Requests)))
	for _, text := range r.Warnings {
		line("warning", text)
	}
	b.WriteString("  Nothing was written.\n")
	return b.String()
}

func (l checkedList) text() string {
	switch {
	case l.Total > 0:
		return connector.Thousands(l.Total) + " in all"
	case l.More:
		return connector.Thousands(l.Rows) + " on the first page, and more"
	default:
		return connector.Thousands(l.Rows)
	}
}
