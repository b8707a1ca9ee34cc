package directory

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf8"
)

// MaxID is the largest size of an id in bytes. C1 stores no longer ones, and a
// shortened id could belong to another account.
const MaxID = 1024

// CheckID returns an error for an id that C1 cannot store unchanged: one that
// is blank, longer than MaxID bytes, or not valid UTF-8. It also refuses
// U+FFFD: the JSON decoder writes it instead of bytes that are not UTF-8, so
// two broken ids could become one. The error reads as the end of a sentence.
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

// Fingerprint is a 64-bit hash of text (FNV-1a), the same in every process.
func Fingerprint(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}
