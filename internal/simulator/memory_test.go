package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestInMemory checks that only its transport reaches a server in memory, that
// the latency passes on the bubble's clock, and that Close ends everything that
// Start began. Otherwise the bubble would not end.
func TestInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := NewGuru(Size{Users: 2}, WithMemory(), WithLatency(time.Hour, 0)).Start(t)
		client := &http.Client{Transport: server.Transport()}
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL()+"/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(server.Email(), server.Token())
		begun := time.Now()
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("status %d, %d bytes, %v", response.StatusCode, len(body), err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begun); waited != time.Hour {
			t.Errorf("the answer took %s of the bubble's time, not an hour", waited)
		}
		request.URL.Host = "127.0.0.1:3"
		if response, err := client.Do(request); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				_ = response.Body.Close()
			}
			t.Errorf("another address: %v", err)
		}
	})
}
