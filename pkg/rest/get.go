package rest

import (
	"context"
	"errors"
)

// Get is Client.Get for a function that decodes a 2xx answer. It returns the decoded
// value, or the zero value and an error.
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

// JSON decodes a body, with the errors of Answer.JSON. It can be the decode function
// of Get.
func JSON[T any](a *Answer) (T, error) {
	var value T
	err := a.JSON(&value)
	return value, err
}

// StatusOf returns the HTTP status in an error, or 0 if there was no answer.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
