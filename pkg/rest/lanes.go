package rest

import (
	"net/http"
	"sync"
)

const (
	// perLane is how many idle connections the SDK's transport keeps to a
	// host. A third request at a time would open a connection and throw it
	// away, so it takes another lane.
	perLane = 2
	// maxLanes serves 32 requests at a time; more share the lanes.
	maxLanes = 16
)

// lanes are HTTP clients that are opened as parallelism needs them: one
// request at a time always takes the first.
type lanes struct {
	open func() (*http.Client, error)

	mu   sync.Mutex
	list []*lane
}

type lane struct {
	client *http.Client
	busy   int
}

func newLanes(open func() (*http.Client, error)) *lanes { return &lanes{open: open} }

// prime opens the first lane.
func (l *lanes) prime() error {
	_, release, err := l.acquire()
	if err != nil {
		return err
	}
	release()
	return nil
}

// acquire returns the client to send one request with and what to call when
// its answer has been read.
func (l *lanes) acquire() (*http.Client, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pick *lane
	for _, candidate := range l.list {
		if candidate.busy < perLane {
			pick = candidate
			break
		}
		if pick == nil || candidate.busy < pick.busy {
			pick = candidate
		}
	}
	if pick == nil || pick.busy >= perLane && len(l.list) < maxLanes {
		client, err := l.open()
		if err != nil {
			return nil, nil, err
		}
		pick = &lane{client: client}
		l.list = append(l.list, pick)
	}
	pick.busy++
	return pick.client, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		pick.busy--
	}, nil
}
