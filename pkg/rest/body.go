package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
)

const (
	// largeBody is the size in bytes above which bodies are read one at a time.
	// The vendors' documented pages are far smaller.
	largeBody = 4 << 20
	// bodyPart is the most bytes that one read takes from a body.
	bodyPart = 1 << 20
)

var errTooLarge = errors.New("body too large")

// bodies reads the bodies of answers, of at most limit bytes each. Many may be
// in progress, and each may be a decompression bomb, but together they must not
// take many times the limit.
type bodies struct {
	limit int64
	// large holds one element while a body is read beyond largeBody.
	large chan struct{}
	// parts holds parts of bodyPart bytes that the next large body can use. Without
	// it, several bombs in a row fill the memory until the collector runs.
	parts sync.Pool
}

func newBodies(limit int64) *bodies { return &bodies{limit: limit, large: make(chan struct{}, 1)} }

// read returns a whole body. length is the length in the header, or -1 if it
// has none. It fails with errTooLarge beyond the limit, and with the reader's
// error if the body is not complete.
func (b *bodies) read(ctx context.Context, r io.Reader, length int64) ([]byte, error) {
	if length > b.limit {
		return nil, errTooLarge
	}
	if length < 0 {
		length = 16 << 10
	}
	r = io.LimitReader(r, b.limit+1)
	// A stated length is a hint for the first allocation, not a promise.
	size := min(length, bodyPart) + 512
	// The parts are joined only at the end, which a bomb does not reach.
	var parts [][]byte
	defer func() { b.reuse(parts) }()
	var total int64
	held := false
	for {
		part, err := fill(r, b.part(size))
		parts, total = append(parts, part), total+int64(len(part))
		switch {
		case total > b.limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF) && len(parts) == 1:
			parts = nil
			return part, nil
		case errors.Is(err, io.EOF):
			return bytes.Join(parts, nil), nil
		case err != nil:
			return nil, err
		}
		if total >= largeBody && !held {
			select {
			case b.large <- struct{}{}:
				defer func() { <-b.large }()
				held = true
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		size = min(total, bodyPart)
	}
}

// part returns an empty part with room for size bytes.
func (b *bodies) part(size int64) []byte {
	if size == bodyPart {
		if part, ok := b.parts.Get().(*[bodyPart]byte); ok {
			return part[:0]
		}
	}
	return make([]byte, 0, size)
}

// reuse keeps parts for other bodies. Nothing may refer to them.
func (b *bodies) reuse(parts [][]byte) {
	for _, part := range parts {
		if cap(part) == bodyPart {
			b.parts.Put((*[bodyPart]byte)(part[:bodyPart]))
		}
	}
}

// fill reads into part until it is full or the first error, which it returns.
func fill(r io.Reader, part []byte) ([]byte, error) {
	for len(part) < cap(part) {
		n, err := r.Read(part[len(part):cap(part)])
		part = part[:len(part)+n]
		if err != nil {
			return part, err
		}
	}
	return part, nil
}
