package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
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
	b := newBodies(limit) // for all bodies: none may change because another one follows it
	var bodies [][]byte
	for _, n := range []int{0, 1, 512, 513, first - 1, first, first + 1, largeBody - 1, largeBody, largeBody + 1, limit - 1, limit, limit + 1} {
		for how, length := range map[string]int64{"stated": int64(n), "not stated": -1, "stated too low": int64(n / 2)} {
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
			bodies = append(bodies, got)
			cut := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(io.ErrUnexpectedEOF))
			if _, err = b.read(context.Background(), cut, length); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes and no end, their number %s: %v", n, how, err)
			}
			if len(b.large) != 0 {
				t.Fatal("the turn of the large body is not given back")
			}
		}
	}
	other := bytes.Repeat([]byte("x"), limit)
	if _, err := b.read(context.Background(), bytes.NewReader(other), -1); err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		if !bytes.Equal(body, whole[:len(body)]) {
			t.Errorf("a body of %d bytes changed when another one was read", len(body))
		}
	}
}

// TestALargeBodyUsesTheMemoryOfTheLastOne checks that bombs in a row do not fill
// the memory until the garbage collector runs. It must not run in parallel,
// because it counts all that the process allocates.
func TestALargeBodyUsesTheMemoryOfTheLastOne(t *testing.T) {
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	b := newBodies(8 * largeBody)
	allocates := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := b.read(context.Background(), blanks{}, -1); err == nil {
			t.Fatal("a body without end was read")
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	first, second := allocates(), allocates()
	if second > first*2/3 { // with the race detector, a pool forgets a quarter of what it gets
		t.Errorf("the first large body allocated %d bytes, the second %d", first, second)
	}
}

// blanks is a body without an end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) { return len(p), nil }

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
