package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxID is the most bytes that an id may have. C1 keeps no longer one, and
// cutting it could make two accounts one.
const MaxID = 1024

// CheckID reports what is wrong with an id that cannot be kept unchanged. An
// id with U+FFFD is refused: the JSON decoder puts this character in place of
// bytes that are not UTF-8, and two broken ids could become one.
func CheckID(id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return errors.New("has no id")
	case len(id) > MaxID:
		return fmt.Errorf("has an id of %d bytes, more than %d", len(id), MaxID)
	case strings.ContainsRune(id, utf8.RuneError):
		return errors.New("has an id that is not valid UTF-8")
	}
	return nil
}
