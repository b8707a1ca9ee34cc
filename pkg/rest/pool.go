package rest

import (
	"net/http"
	"sync"
)

const (
	// perClient is the number of idle connections to a host that the SDK's
	// transport keeps. With more requests in flight, it would open a connection
	// for each and close it again.
	perClient = 2
	// maxClients serve 32 parallel requests; more share the clients.
	maxClients = 16
)

// pool is a connection pool. It opens HTTP clients when parallel requests need them;
// single requests always use the first client.
type pool struct {
	open func() (*http.Client, error)

	mu      sync.Mutex
	clients []*pooled
}

type pooled struct {
	client *http.Client
	busy   int
}

func newPool(open func() (*http.Client, error)) *pool { return &pool{open: open} }

// prime opens the first client.
func (p *pool) prime() error {
	_, release, err := p.acquire()
	if err != nil {
		return err
	}
	release()
	return nil
}

// acquire returns a client for one request. Call release when the answer has been
// read.
func (p *pool) acquire() (client *http.Client, release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pick *pooled
	for _, candidate := range p.clients {
		if candidate.busy < perClient {
			pick = candidate
			break
		}
		if pick == nil || candidate.busy < pick.busy {
			pick = candidate
		}
	}
	if pick == nil || pick.busy >= perClient && len(p.clients) < maxClients {
		client, err := p.open()
		if err != nil {
			return nil, nil, err
		}
		pick = &pooled{client: client}
		p.clients = append(p.clients, pick)
	}
	pick.busy++
	return pick.client, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		pick.busy--
	}, nil
}
