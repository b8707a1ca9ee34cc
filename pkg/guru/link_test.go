package guru

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestNextToken(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		headers []string
		token   string
		err     error
	}{
		{"none", nil, "", nil},
		{"empty", []string{"", " , "}, "", nil},
		{"as documented", []string{`< https://api.getguru.com/api/v1/members?token=xsfw9 >; rel="next-page"`}, "xsfw9", nil},
		{"tight", []string{`<https://api.getguru.com/api/v1/members?token=xsfw9>;rel="next-page"`}, "xsfw9", nil},
		{"next", []string{`<https://api.getguru.com/api/v1/members?token=a>; rel="next"`}, "a", nil},
		{"without quotes", []string{`<https://api.getguru.com/api/v1/members?token=a>; rel=next`}, "a", nil},
		{"unquoted, with more behind", []string{`<?token=a>; rel=next-page; title=x, </>; rel=first`}, "a", nil},
		{"no rel", []string{`<https://api.getguru.com/api/v1/members?token=a>`}, "a", nil},
		{"no rel, other parameters", []string{`<?token=a>; title="next; page, <2>"`}, "a", nil},
		{"letter case", []string{`<?token=a>; REL="Next-Page"`}, "a", nil},
		{"blanks around the equals sign", []string{`<?token=a> ; rel = "next"`}, "a", nil},
		{"several relations", []string{`<?token=a>; rel="last next"`}, "a", nil},
		{"the first rel counts", []string{`<?token=a>; rel=prev; rel=next`}, "", nil},
		{"another host", []string{`<https://evil.example.com/?x=1&token=a&maxResults=5#token=b>; rel=next`}, "a", nil},
		{"relative", []string{`</api/v1/members?token=a>; rel=next`}, "a", nil},
		{"several links", []string{`<?token=0>; rel=prev, <?token=2>; rel=next, <?token=9>; rel=last`}, "2", nil},
		{"several headers", []string{`<?token=0>; rel=prev`, `<?token=2>; rel="next-page"`}, "2", nil},
		{"stated before unstated", []string{`<?token=0>, <?token=2>; rel=next`}, "2", nil},
		{"commas in the URL", []string{`<https://x.example.com/a,b?ids=1,2&token=t,u>; rel=next, <?token=9>; rel=last`}, "t,u", nil},
		{"commas and brackets in quotes", []string{`<?token=0>; title="a, <?token=1>; rel=next \" "; rel=prev, <?token=2>; rel=next`}, "2", nil},
		{"percent-encoded", []string{`<?token=a%2Bb%2Fc%3D%3D>; rel=next`}, "a+b/c==", nil},
		{"not encoded", []string{`<?token=a+b/c==>; rel=next`}, "a+b/c==", nil},
		{"other parameters whose names end alike", []string{`<?pagetoken=x&token=a&xtoken=y>; rel=next`}, "a", nil},
		{"a semicolon in the token", []string{`<?token=a;b>; rel=next`}, "a;b", nil},
		{"other relations of pages only", []string{`<?token=0>; rel="prev-page", <?token=1>; rel=First-Page, <?token=9>; rel="last self"`}, "", nil},
		{"an unknown relation", []string{`<?token=2>; rel="nextPage"`}, "", errLinkRelation},
		{"an empty relation", []string{`<?token=2>; rel=""`}, "", errLinkRelation},
		{"an unknown relation beside the next page", []string{`<?token=7>; rel="x", <?token=2>; rel=next`}, "2", nil},
		{"an unknown relation without a token", []string{`</manual>; rel="x"`}, "", nil},
		{"other relations only", []string{`</style.css>; rel=preload; as=style, <?token=0>; rel=prev`}, "", nil},
		{"the same link twice", []string{`<?token=a>; rel=next`, `<?token=a>; rel=next-page`}, "a", nil},
		{"an empty parameter", []string{`<?token=a>;; rel=next;`}, "a", nil},

		{"two next pages", []string{`<?token=a>; rel=next, <?token=b>; rel=next`}, "", errLinkTwo},
		{"two tokens", []string{`<?token=a&token=b>; rel=next`}, "", errLinkTwo},
		{"next without a token", []string{`<https://api.getguru.com/api/v1/members?page=2>; rel=next`}, "", errLinkNoToken},
		{"next with an empty token", []string{`<?token=>; rel=next`}, "", errLinkNoToken},
		{"the token in the fragment", []string{`<?a=1#token=b>; rel=next`}, "", errLinkNoToken},
		{"no rel and no token", []string{`<https://www.example.com/>`}, "", errLinkNoToken},
		{"no brackets", []string{`https://api.getguru.com/api/v1/members?token=a; rel=next`}, "", errLinkSyntax},
		{"open bracket", []string{`<https://api.getguru.com/api/v1/members?token=a`}, "", errLinkSyntax},
		{"open quote", []string{`<?token=a>; rel="next`}, "", errLinkSyntax},
		{"no semicolon", []string{`<?token=a> rel=next`}, "", errLinkSyntax},
		{"bad percent", []string{`<?token=a%zz>; rel=next`}, "", errLinkSyntax},
		{"too long", []string{`<?token=` + strings.Repeat("a", maxToken+1) + `>; rel=next`}, "", errLinkLong},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			token, err := nextToken(r.headers)
			if token != r.token || !errors.Is(err, r.err) {
				t.Errorf("%q, %v; want %q, %v", token, err, r.token, r.err)
			}
		})
	}
}

// FuzzLink: no header causes a panic or a hang. With an error there is no
// token, and a token is bounded. Any token in a documented header is sent back
// unchanged, with any other links around it.
func FuzzLink(f *testing.F) {
	for _, seed := range []string{
		`< https://api.getguru.com/api/v1/members?token=xsfw9 >; rel="next-page"`,
		`<?token=a%2Bb>; rel=next, <?token=9>; rel="last"`,
		`<a,b?token=c,d>;title="x\"y, <";rel="prev next"`,
		`<?token=a>`, `<`, `<>;`, `<>;rel="`, ",,,", `<?token=%zz>`, "<?token=\xff>",
	} {
		f.Add(seed, "a+b/c==")
	}
	f.Fuzz(func(t *testing.T, header, token string) {
		got, err := nextToken([]string{header})
		if err != nil && got != "" || len(got) > maxToken {
			t.Errorf("%d bytes of token beside the error %v", len(got), err)
		}
		if header != "" && !strings.ContainsAny(header, "<, \t") && err == nil {
			t.Errorf("%q is taken for the last page", header)
		}
		if token == "" || len(token) > maxToken {
			return
		}
		escaped := strings.ReplaceAll(url.QueryEscape(token), "+", "%20")
		got, err = nextToken([]string{`</first?token=1>; rel="first", < https://api.getguru.com/api/v1/members?token=` + escaped + ` >; rel="next-page"`})
		if err != nil || got != token {
			t.Errorf("%q, %v; want %q", got, err, token)
		}
	})
}
