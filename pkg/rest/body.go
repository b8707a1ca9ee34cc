package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
)

const (
	// largeBody is from where on bodies are read one at a time. Pages as the
	// vendors document them are far smaller.
	largeBody = 4 << 20
	// bodyPart is by how much a large body grows.
	bodyPart = 1 << 20
)

var errTooLarge = errors.New("body too large")

// bodies reads the bodies of answers, each at most limit bytes long. Many may
// be under way, and each may be a decompression bomb: memory must not be as
// many times the limit.
type bodies struct {
	limit int64
	// large is held by the one that is read beyond largeBody.
	large chan struct{}
}

func newBodies(limit int64) *bodies { return &bodies{limit: limit, large: make(chan struct{}, 1)} }

// read returns a whole body, whose stated length is -1 for none.
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
	// In parts, which are joined when all are there: a bomb never is.
	var parts [][]byte
	var total int64
	held := false
	for {
		part, err := fill(r, size)
		parts, total = append(parts, part), total+int64(len(part))
		switch {
		case total > b.limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF) && len(parts) == 1:
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

// fill reads as many bytes as are wanted, or up to the first error.
func fill(r io.Reader, size int64) ([]byte, error) {
	part := make([]byte, 0, size)
	for len(part) < cap(part) {
		n, err := r.Read(part[len(part):cap(part)])
		part = part[:len(part)+n]
		if err != nil {
			return part, err
		}
	}
	return part, nil
}
