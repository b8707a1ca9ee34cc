package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/conductorone/baton-connectors/internal/bench/rows"
	"github.com/conductorone/baton-connectors/pkg/directory"
)

// floor serves rows from memory. It loads them on the first request and reports
// the cost of loading, which is no part of a sync.
type floor struct {
	path, report string

	once   sync.Once
	source *rows.Source
	err    error
}

var (
	_ directory.Source      = (*floor)(nil)
	_ directory.Memberships = (*floor)(nil)
)

func (f *floor) load() (*rows.Source, error) {
	f.once.Do(func() {
		start := time.Now()
		loaded, err := rows.Load(f.path)
		if err != nil {
			f.err = err
			return
		}
		f.source = loaded.Source()
		text, err := json.Marshal(time.Since(start).Seconds())
		if err == nil {
			err = os.WriteFile(f.report, text, 0o600)
		}
		f.err = err
	})
	return f.source, f.err
}

func (f *floor) Check(context.Context) error {
	_, err := f.load()
	return err
}

func (f *floor) Users(ctx context.Context, cursor string) (page directory.Page[directory.User], err error) {
	source, err := f.load()
	if err != nil {
		return page, err
	}
	return source.Users(ctx, cursor)
}

func (f *floor) Groups(ctx context.Context, cursor string) (page directory.Page[directory.Group], err error) {
	source, err := f.load()
	if err != nil {
		return page, err
	}
	return source.Groups(ctx, cursor)
}

func (f *floor) Group(ctx context.Context, id string) (group directory.Group, err error) {
	source, err := f.load()
	if err != nil {
		return group, err
	}
	return source.Group(ctx, id)
}

func (f *floor) Members(ctx context.Context, groupID, cursor string) (page directory.Page[directory.Member], err error) {
	source, err := f.load()
	if err != nil {
		return page, err
	}
	return source.Members(ctx, groupID, cursor)
}

func (f *floor) Memberships(ctx context.Context, cursor string) (page directory.Page[directory.Membership], err error) {
	source, err := f.load()
	if err != nil {
		return page, err
	}
	return source.Memberships(ctx, cursor)
}
