package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	reader "github.com/conductorone/baton-sdk/pb/c1/reader/v2"
	"github.com/conductorone/baton-sdk/pkg/connectorstore"
	"github.com/conductorone/baton-sdk/pkg/dotc1z"
)

// readContent reads the file of a finished sync.
func readContent(ctx context.Context, file, tmp string) (content Content, err error) {
	store, err := dotc1z.NewStore(ctx, file, dotc1z.WithReadOnly(true), dotc1z.WithTmpDir(tmp))
	if err != nil {
		return content, err
	}
	defer func() { err = errors.Join(err, store.Close(ctx)) }()
	latest, err := store.GetLatestFinishedSync(ctx, reader.SyncsReaderServiceGetLatestFinishedSyncRequest_builder{
		SyncType: string(connectorstore.SyncTypeFull),
	}.Build())
	if err != nil {
		return content, err
	}
	if latest.GetSync() == nil {
		return content, errors.New("the file holds no finished sync")
	}
	for _, kind := range []string{"user", "group"} {
		count := content.user
		if kind == "group" {
			count = content.group
		}
		err := pages(func(token string) (string, error) {
			page, err := store.ListResources(ctx, v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: kind, PageToken: token}.Build())
			for _, r := range page.GetList() {
				count(r.GetId().GetResource())
			}
			return page.GetNextPageToken(), err
		})
		if err != nil {
			return content, fmt.Errorf("list %ss: %w", kind, err)
		}
	}
	err = pages(func(token string) (string, error) {
		page, err := store.ListGrants(ctx, v2.GrantsServiceListGrantsRequest_builder{PageToken: token}.Build())
		for _, g := range page.GetList() {
			group := strings.TrimSuffix(strings.TrimPrefix(g.GetEntitlement().GetId(), "group:"), ":member")
			content.grant(group, g.GetPrincipal().GetId().GetResourceType(), g.GetPrincipal().GetId().GetResource())
		}
		return page.GetNextPageToken(), err
	})
	if err != nil {
		return content, fmt.Errorf("list grants: %w", err)
	}
	return content, nil
}

func pages(page func(token string) (next string, err error)) error {
	for token := ""; ; {
		next, err := page(token)
		if err != nil || next == "" {
			return err
		}
		token = next
	}
}
