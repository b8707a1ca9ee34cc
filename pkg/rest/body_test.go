package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// TestABodyIsWholeOrAnError checks that a body of any length arrives unchanged,
// that a body beyond the limit is an error, and that a truncated body never
// passes for a shorter one.
func TestABodyIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	const limit = largeBody + 3*bodyPart/2
	whole := bytes.Repeat([]byte("a page of 27 bytes in a row"), limit/27+1)[:limit+1]
	first := 16<<10 + 512 // the size of the first read if no length is stated
	for _, n := range []int{0, 1, 512, 513, first - 1, first, first + 1, largeBody - 1, largeBody, largeBody + 1, limit - 1, limit, limit + 1} {
		for how, length := range map[string]int64{"stated": int64(n), "not stated": -1, "stated too low": int64(n / 2)} {
			b := newBodies(limit)
			got, err := b.read(context.Background(), iotest.DataErrReader(bytes.NewReader(whole[:n])), length)
			switch {
			case n > limit:
				if !errors.Is(err, errTooLarge) {
					t.Errorf("%d bytes, their number %s: %v", n, how, err)
				}
				continue
			case err != nil || !bytes.Equal(got, whole[:n]):
				t.Errorf("%d bytes, their number %s: %d bytes came back, %v", n, how, len(got), err)
			}
			cut := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(io.ErrUnexpectedEOF))
			if _, err = b.read(context.Background(), cut, length); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes and no end, their number %s: %v", n, how, err)
			}
			if len(b.large) != 0 {
				t.Fatal("the turn of the large body is not given back")
			}
		}
	}
}

// bomb is an endless body. The first of many that is read beyond largeBody
// waits there until all others have reached largeBody too.
type bomb struct {
	read    int
	arrived *sync.WaitGroup
	beyond  *atomic.Int32
	most    *atomic.Int32
}

func (b *bomb) Read(p []byte) (int, error) {
	before := b.read
	b.read += len(p)
	if before < largeBody && b.read >= largeBody {
		b.arrived.Done()
	}
	if before >= largeBody && before < largeBody+len(p) && b.beyond.Add(1) == 1 {
		b.arrived.Wait()
		b.most.Store(b.beyond.Load())
	}
	return len(p), nil
}

// TestManyBombsAreReadOneAtATime checks that memory does not grow with the
// number of answers in progress, and that an answer that waits for its turn
// ends with its sync.
func TestManyBombsAreReadOneAtATime(t *testing.T) {
	t.Parallel()
	b := newBodies(2 * largeBody)
	var arrived, all sync.WaitGroup
	var beyond, most atomic.Int32
	arrived.Add(8)
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := b.read(context.Background(), &bomb{arrived: &arrived, beyond: &beyond, most: &most}, -1)
			if !errors.Is(err, errTooLarge) {
				t.Errorf("a body without end: %v", err)
			}
		}()
	}
	all.Wait()
	if most.Load() != 1 || beyond.Load() != 8 {
		t.Errorf("%d of %d large bodies were read at a time", most.Load(), beyond.Load())
	}

	b.large <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.read(ctx, bytes.NewReader(make([]byte, 2*largeBody)), -1); !errors.Is(err, context.Canceled) {
		t.Errorf("a body that waits for its turn when the sync is stopped: %v", err)
	}
}
