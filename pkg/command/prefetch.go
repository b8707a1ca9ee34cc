package command

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// maxPrefetched bounds the pages that are read before the syncer asks for them.
// A page is at most 4 MiB.
const maxPrefetched = 4

// pagePrefetch reads the next page of a list while the syncer stores the last
// one. The syncer asks for a page only when the one before is stored, so the
// connector and the store would otherwise wait for each other.
type pagePrefetch struct {
	ctx    context.Context
	cancel context.CancelFunc
	reads  sync.WaitGroup

	mu    sync.Mutex
	pages map[string]*prefetchedPage
}

// prefetchedPage is an answer in progress or not yet requested by the syncer.
type prefetchedPage struct {
	// done is closed when answer and err are set.
	done   chan struct{}
	answer any
	err    error
}

// pageRequest is a request for a page of a list.
type pageRequest interface {
	proto.Message
	GetPageToken() string
	SetPageToken(token string)
}

// newPagePrefetch returns a prefetch whose reads end with ctx or with close.
func newPagePrefetch(ctx context.Context) *pagePrefetch {
	p := &pagePrefetch{pages: map[string]*prefetchedPage{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// close cancels the reads in progress and waits for them.
func (p *pagePrefetch) close() {
	p.cancel()
	p.reads.Wait()
}

// intercept is a server's interceptor. It returns the prefetched answer, or calls
// handler, and then prefetches the next page. The first request of a page gets
// the error of its prefetch; a retry reads the page again.
func (p *pagePrefetch) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	page, ok := request.(pageRequest)
	if !ok {
		return handler(ctx, request)
	}
	answer, err := p.read(ctx, page, info.FullMethod, handler)
	if err != nil {
		return nil, err
	}
	if next, ok := answer.(interface{ GetNextPageToken() string }); ok && next.GetNextPageToken() != "" {
		following := proto.CloneOf(page)
		following.SetPageToken(next.GetNextPageToken())
		p.start(following, info.FullMethod, handler)
	}
	return answer, nil
}

// read returns the prefetched answer and waits for one in progress. Without one
// it calls handler.
func (p *pagePrefetch) read(ctx context.Context, request pageRequest, method string, handler grpc.UnaryHandler) (any, error) {
	key := requestKey(request, method)
	p.mu.Lock()
	page := p.pages[key]
	delete(p.pages, key)
	p.mu.Unlock()
	if page == nil {
		return handler(ctx, request)
	}
	select {
	case <-page.done:
		return page.answer, page.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start reads a page in the background, unless enough pages wait already.
func (p *pagePrefetch) start(request pageRequest, method string, handler grpc.UnaryHandler) {
	key := requestKey(request, method)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || p.pages[key] != nil || len(p.pages) >= maxPrefetched {
		return
	}
	page := &prefetchedPage{done: make(chan struct{})}
	p.pages[key] = page
	p.reads.Go(func() {
		defer close(page.done)
		page.answer, page.err = handler(p.ctx, request)
	})
}

// requestKey differs for different requests.
func requestKey(request proto.Message, method string) string {
	body, _ := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	return method + " " + string(body)
}
