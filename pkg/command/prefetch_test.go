package command

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	"google.golang.org/grpc"
)

// pageServer answers with the requested page token as a resource, and counts
// how often each page was read.
type pageServer struct {
	mu    sync.Mutex
	next  map[string]string
	fails map[string]int
	reads map[string]int
	block chan struct{}
}

func (s *pageServer) handle(ctx context.Context, request any) (any, error) {
	token := request.(pageRequest).GetPageToken()
	s.mu.Lock()
	s.reads[token]++
	fails := s.fails[token] > 0
	s.fails[token]--
	s.mu.Unlock()
	if s.block != nil && token != "" {
		select {
		case <-s.block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fails {
		return nil, errors.New("page " + token)
	}
	return v2.ResourcesServiceListResourcesResponse_builder{
		List:          []*v2.Resource{v2.Resource_builder{DisplayName: token}.Build()},
		NextPageToken: s.next[token],
	}.Build(), nil
}

func (s *pageServer) count(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[token]
}

func newPageServer() *pageServer {
	return &pageServer{next: map[string]string{"": "2", "2": "3"}, fails: map[string]int{}, reads: map[string]int{}}
}

// ask sends the request for a page as the syncer does.
func ask(ctx context.Context, p *pagePrefetch, s *pageServer, kind, token string) (string, error) {
	request := v2.ResourcesServiceListResourcesRequest_builder{ResourceTypeId: kind, PageToken: token}.Build()
	answer, err := p.intercept(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/list"}, s.handle)
	if err != nil {
		return "", err
	}
	return answer.(*v2.ResourcesServiceListResourcesResponse).GetList()[0].GetDisplayName(), nil
}

func TestTheNextPageIsReadWhileTheLastIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPageServer(), newPagePrefetch(t.Context())
		defer p.close()
		for i, token := range []string{"", "2", "3"} {
			got, err := ask(t.Context(), p, s, "user", token)
			if err != nil || got != token {
				t.Fatalf("page %q: got %q, %v", token, got, err)
			}
			synctest.Wait()
			if next := s.next[token]; next != "" && s.count(next) != 1 {
				t.Errorf("page %q was not read while page %d was stored", next, i+1)
			}
		}
		for token, n := range s.reads {
			if n != 1 {
				t.Errorf("page %q was read %d times", token, n)
			}
		}
	})
}

// The error of a prefetched page must reach the syncer once, and its next try
// must ask the vendor again.
func TestAPrefetchedFailureIsToldAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPageServer(), newPagePrefetch(t.Context())
		defer p.close()
		s.fails["2"] = 1
		if _, err := ask(t.Context(), p, s, "user", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), p, s, "user", "2"); err == nil {
			t.Fatal("the failure of the prefetched page is lost")
		}
		if got, err := ask(t.Context(), p, s, "user", "2"); err != nil || got != "2" {
			t.Fatalf("a second try: got %q, %v", got, err)
		}
		if n := s.count("2"); n != 2 {
			t.Errorf("page 2 was read %d times, want 2", n)
		}
	})
}

func TestAPrefetchedPageAnswersOnlyItsOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPageServer(), newPagePrefetch(t.Context())
		defer p.close()
		if _, err := ask(t.Context(), p, s, "user", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), p, s, "group", "2"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.count("2"); n != 2 {
			t.Errorf("page 2 was read %d times for two kinds of resource, want 2", n)
		}
	})
}

func TestPrefetchedPagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPageServer(), newPagePrefetch(t.Context())
		defer p.close()
		for i := range maxPrefetched + 3 {
			if _, err := ask(t.Context(), p, s, fmt.Sprint("kind", i), ""); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.count("2"); n != maxPrefetched {
			t.Errorf("%d pages were prefetched, want %d", n, maxPrefetched)
		}
	})
}

// A read that continues after the sync would send requests for nothing.
func TestNothingIsPrefetchedAfterTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := newPageServer(), newPagePrefetch(t.Context())
		s.block = make(chan struct{})
		if _, err := ask(t.Context(), p, s, "user", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.close() // returns because the blocked read is cancelled
		if _, err := ask(t.Context(), p, s, "group", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.count("2"); n != 1 {
			t.Errorf("page 2 was read %d times, want 1", n)
		}
	})
}
