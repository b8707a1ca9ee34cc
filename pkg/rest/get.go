package rest

import (
	"context"
	"errors"
)

// Get sends r as Client.Get does and returns what decode makes of a 2xx
// answer. Beside an error the value is zero.
func Get[T any](ctx context.Context, c *Client, r Request, decode func(*Answer) (T, error)) (T, error) {
	var value, none T
	err := c.Get(ctx, r, func(a *Answer) error {
		var err error
		value, err = decode(a)
		return err
	})
	if err != nil {
		return none, err
	}
	return value, nil
}

// JSON decodes a whole body, with the errors of Answer.JSON. It serves as the
// decode function of Get.
func JSON[T any](a *Answer) (T, error) {
	var value T
	err := a.JSON(&value)
	return value, err
}

// StatusOf returns the HTTP status of the answer that an error is about, 0 if
// it is about none.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
