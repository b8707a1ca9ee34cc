package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%s into %T: %v", text, value, err)
	}
	return value
}

// TestLenientTypes: a value that servers write instead of a documented one is
// read by its meaning. A value without meaning is reported, not guessed.
func TestLenientTypes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		json string
		text Text
		num  Int
		flag Bool
	}{
		{`"ann"`, Text{Value: "ann"}, Int{Invalid: true}, Bool{Invalid: true}},
		{`"a\u006en\n"`, Text{Value: "ann\n"}, Int{Invalid: true}, Bool{Invalid: true}},
		{`" "`, Text{Value: " "}, Int{}, Bool{}},
		{`""`, Text{}, Int{}, Bool{}},
		{`null`, Text{}, Int{}, Bool{}},
		{`90071992547409931`, Text{Value: "90071992547409931"}, Int{Value: 90071992547409931, Stated: true}, Bool{Invalid: true}},
		{`9223372036854775807`, Text{Value: "9223372036854775807"}, Int{Value: 9223372036854775807, Stated: true}, Bool{Invalid: true}},
		{`9223372036854775808`, Text{Value: "9223372036854775808"}, Int{Invalid: true}, Bool{Invalid: true}},
		{`-7`, Text{Value: "-7"}, Int{Value: -7, Stated: true}, Bool{Invalid: true}},
		{`3.0`, Text{Value: "3.0"}, Int{Value: 3, Stated: true}, Bool{Invalid: true}},
		{`3e2`, Text{Value: "3e2"}, Int{Value: 300, Stated: true}, Bool{Invalid: true}},
		{`3.5`, Text{Value: "3.5"}, Int{Invalid: true}, Bool{Invalid: true}},
		{`1e999999999`, Text{Value: "1e999999999"}, Int{Invalid: true}, Bool{Invalid: true}},
		{`" 40 "`, Text{Value: " 40 "}, Int{Value: 40, Stated: true}, Bool{Invalid: true}},
		{`1`, Text{Value: "1"}, Int{Value: 1, Stated: true}, Bool{Value: true, Stated: true}},
		{`0`, Text{Value: "0"}, Int{Stated: true}, Bool{Stated: true}},
		{`true`, Text{Invalid: true}, Int{Invalid: true}, Bool{Value: true, Stated: true}},
		{`false`, Text{Invalid: true}, Int{Invalid: true}, Bool{Stated: true}},
		{`"True"`, Text{Value: "True"}, Int{Invalid: true}, Bool{Value: true, Stated: true}},
		{`" FALSE "`, Text{Value: " FALSE "}, Int{Invalid: true}, Bool{Stated: true}},
		{`{"a":1}`, Text{Invalid: true}, Int{Invalid: true}, Bool{Invalid: true}},
		{`[true]`, Text{Invalid: true}, Int{Invalid: true}, Bool{Invalid: true}},
	} {
		if got := decoded[Text](t, row.json); got != row.text {
			t.Errorf("%s as a text is %+v", row.json, got)
		}
		if got := decoded[Int](t, row.json); got != row.num {
			t.Errorf("%s as an integer is %+v", row.json, got)
		}
		if got := decoded[Bool](t, row.json); got != row.flag {
			t.Errorf("%s as a boolean is %+v", row.json, got)
		}
	}
}

// TestLenientFieldsForgetWhatCameBefore: the last of two equal keys counts.
func TestLenientFieldsForgetWhatCameBefore(t *testing.T) {
	t.Parallel()
	type row struct {
		T Text
		N Int
		B Bool
		M OneOrMany[int]
		O Object[map[string]int]
	}
	got := decoded[row](t, `{"T":{},"N":[],"B":7,"M":[1,2],"O":[],"T":"x","N":null,"B":true,"M":3,"O":{"a":1}}`)
	want := row{T: Text{Value: "x"}, B: Bool{Value: true, Stated: true}, M: OneOrMany[int]{3}, O: Object[map[string]int]{Value: map[string]int{"a": 1}, Stated: true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOneOrMany(t *testing.T) {
	t.Parallel()
	type email struct{ Value Text }
	for text, want := range map[string]OneOrMany[email]{
		`null`:                      nil,
		`[]`:                        {},
		`{"Value":"a@example.com"}`: {{Text{Value: "a@example.com"}}},
		`[{"Value":"a"},{},null]`:   {{Text{Value: "a"}}, {}, {}},
	} {
		if got := decoded[OneOrMany[email]](t, text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v", text, got)
		}
	}
	for _, text := range []string{`"a"`, `[7]`, `true`} {
		var got OneOrMany[email]
		if json.Unmarshal([]byte(text), &got) == nil {
			t.Errorf("%s was read as %v", text, got)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	type name struct{ Given string }
	for text, want := range map[string]Object[name]{
		`null`:            {},
		`{}`:              {Stated: true},
		`{"Given":"Ann"}`: {Value: name{"Ann"}, Stated: true},
		`{"Given":7}`:     {Invalid: true},
		`"Ann"`:           {Invalid: true},
		`[]`:              {Invalid: true},
	} {
		if got := decoded[Object[name]](t, text); got != want {
			t.Errorf("%s is %+v", text, got)
		}
	}
}

// FuzzLenientTypes: no JSON value makes a lenient type fail or panic, and a
// value is stated or invalid, never both.
func FuzzLenientTypes(f *testing.F) {
	for _, seed := range []string{`"a"`, `1e400`, `-0`, `"\ud800"`, "\"\xff\"", `{"a":[]}`, `[1]`, `true`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		n, b, o := decoded[Int](t, string(raw)), decoded[Bool](t, string(raw)), decoded[Object[map[string]any]](t, string(raw))
		if n.Stated && n.Invalid || b.Stated && b.Invalid || o.Stated && o.Invalid {
			t.Errorf("%s is %+v, %+v, %+v", raw, n, b, o)
		}
		if text := decoded[Text](t, string(raw)); text.Invalid && text.Value != "" {
			t.Errorf("%s is %+v", raw, text)
		}
	})
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	if got := StatusOf(fmt.Errorf("list users: %w", &Error{Status: 404})); got != 404 {
		t.Errorf("a wrapped 404 is %d", got)
	}
	if got := StatusOf(fmt.Errorf("no answer")) + StatusOf(nil); got != 0 {
		t.Errorf("no answer is %d", got)
	}
}
