package fidelity

import (
	"fmt"
	"strings"
)

// badDay is a row of docs/fidelity.md about a fault of HTTP, a limit or a run
// under load. It gives the measured result beside the outcome.
type badDay struct {
	fault, happens, measured string
	// tests are names of tests of this package or, with a directory below the
	// repository in front, of another.
	tests []string
}

var badDays = []badDay{
	{
		"429 on every third request", "all workers wait as long as the vendor says; right",
		"both binaries, 1, 4 and 16 workers: right; each pause is logged once",
		[]string{"internal/e2e TestRateLimitsAreWaitedOut", "pkg/rest TestPauseHoldsAllRequestsBack", "pkg/rest TestAPauseIsLoggedOnce"},
	},
	{
		"`Retry-After` as seconds, as a date, as words; reset headers in seconds, milliseconds, since 1970", "waits as long as the vendor means; if it names no time, waits 2 s, then twice as long each time, up to 32 s",
		"16 forms",
		[]string{"pkg/rest TestRetryAt", "pkg/rest TestOddLimitHeadersOnAGoodAnswerDoNoHarm"},
	},
	{
		"429 without `Retry-After` when more than 2 or 3 requests are in flight", "halves the requests in flight, and adds one after each 100 answers; right",
		"with a simulated clock and 4 workers: 15 and 40 groups in 2.1 s, of which 2 s are one pause; 1,000 groups with 6 pauses",
		[]string{"pkg/rest TestParallelRequestsAreHalved", "pkg/rest TestTheBoundOnRequestsInFlight"},
	},
	{
		"one request always fails, but others succeed, also another form of the same list", "ends with Aborted after 15 minutes, or an hour later if the vendor names times to wait",
		"with a simulated clock",
		[]string{"pkg/rest TestOnePlaceOutOfReachEndsASync", "pkg/rest TestAnotherFormOfAListHealsNothing"},
	},
	{
		"no good answer for 15 minutes (`--outage-minutes`)", "ends with Aborted; says since when, and the last answer; the file is unchanged",
		"with a simulated clock: ends neither early nor late; two faults an hour apart are not an outage",
		[]string{"pkg/rest TestOutageEnds", "internal/e2e TestAnOutageCostsNoFile"},
	},
	{
		"failures in a row", "waits 1 s, then longer, up to 30 s; starts again at 1 s after a success",
		"otherwise the SDK's own wait reached 60 s after 12 minutes of 5 % faults, and stayed there",
		[]string{"pkg/rest TestFailuresInARowWaitLonger"},
	},
	{
		"a request that hangs, or returns a byte a second", "ends the request after 60 s and repeats it",
		"",
		[]string{"pkg/rest TestBrokenConnections"},
	},
	{
		"a redirect or link to another origin, to http, or to another name of the same host", "fails and sends nothing there",
		"both binaries, with a listener at the other origin",
		[]string{"pkg/rest TestCredentialStaysAtOneOrigin", "internal/e2e TestNothingIsSentInTheClear", "internal/e2e TestNothingLeaks"},
	},
	{
		"a refused connection or an unresolved name during a sync", "repeats the request; right",
		"in process; DNS answers with a failure, and with no such name",
		[]string{"internal/e2e TestAConnectionThatIsRefusedOnceCostsNobody", "internal/e2e TestANameThatIsLostOnceCostsNobody"},
	},
	{
		"a proxy in the environment; a private certificate authority", "uses them; without the authority, fails and names `SSL_CERT_FILE`",
		"both binaries",
		[]string{"internal/e2e TestAProxyFromTheEnvironmentIsUsed", "internal/e2e TestAHostInNoProxyIsReachedDirectly", "internal/e2e TestAPrivateAuthorityIsTrustedWhereItIsNamed"},
	},
	{
		"1 GiB of blanks, also as 1 MiB of gzip; a header of 12 MiB; 100,000 nested lists", "fails: FailedPrecondition",
		"the connector's process stays below 400 MiB with 16 such answers at once",
		[]string{"internal/e2e TestMonstersAreRefusedInLittleMemory", "pkg/rest TestBodiesAreBounded", "pkg/rest TestManyBombsAreReadOneAtATime"},
	},
	{
		"the network failures above, and others, at `--log-level debug`",
		"no credential (plain, percent-encoded or in base64) appears in output, errors, page tokens, C1's messages, the c1z or files that a killed run leaves; no email address appears in output and errors at level `info` and above",
		"in process: every row of the tables above, twice; one-shot syncs: 17 cases per vendor, of which 12 fail; services: 7 of these",
		[]string{"internal/e2e TestNothingLeaks", "internal/e2e TestNothingLeaksIntoC1", "internal/e2e TestNothingLeaksIntoTemporaryFiles", "TestFidelity"},
	},
	{
		"`HTTPS_PROXY` that cannot be parsed", "fails at the start and names the variable, not its value; net/http would silently connect directly",
		"16 values",
		[]string{"pkg/rest TestAProxyThatCannotBeParsedIsRefused"},
	},
	{
		"an unreadable body: an encoding that was not requested, no gzip although the header says so, a picture, random bytes", "fails: FailedPrecondition, and says what is wrong; requests damaged gzip again; skips a byte order mark",
		"",
		[]string{"pkg/rest TestBodiesThatNobodyCanRead"},
	},
	{
		"202 with `Retry-After`", "waits, while other requests continue", "", []string{"pkg/rest TestAnAnswerThatIsNotReadyIsWaitedFor"},
	},
	{
		"a service's sync ends early and leaves prefetched answers unused", "the next sync requests everything again",
		"answers that have arrived, are in flight or are not requested yet; with a simulated clock",
		[]string{"pkg/rest TestASyncReadsNothingOlderThanItself", "pkg/guru TestASyncAfterAnotherReadsMembersAnew"},
	},
	{
		"a server that sends the credential back: in another letter case, percent-encoded once or twice, as JSON, Go or HTML escape it, in base64 at any offset or of `user:token`, in hex, split by blanks, lines, markup or invisible characters; in bodies, messages, headers, a status line, the host of a redirect",
		"no error contains 8 characters of it in a row",
		"30 forms, each in 8 places; a fuzz test",
		[]string{"pkg/rest TestNoEchoOfTheCredentialShows", "pkg/rest FuzzVendorWords"},
	},
	{
		"jitter, 5 % of 429, 5 % of 5xx, resets, truncated and slow bodies together, in one sync after another of a service", "every c1z is right; no goroutine or open file is left; memory stays level",
		"20,000 users and 200,000 memberships, four services at once on two cores, two syncs each, all right: RudderStack with 4 and 16 workers 30 to 44 s, 1,049 requests of which 149 failed, connector 53 MB; Guru with 4 and 16 workers 153 to 350 s, 10,935 requests of which 1,325 failed, connector 51 to 55 MB. Small directories: 24 syncs in a row, 39 to 47 MB",
		[]string{"internal/e2e TestSoak", "internal/e2e TestNoGoroutineIsLeft"},
	},
}

func badDaysTable() string {
	var b strings.Builder
	b.WriteString("\n## Bad days\n\n| fault | what happens | measured | shown by |\n|---|---|---|---|\n")
	for _, row := range badDays {
		var tests []string
		for _, name := range row.tests {
			if dir, test, found := strings.Cut(name, " "); found {
				tests = append(tests, fmt.Sprintf("`%s` in `%s`", test, dir))
			} else {
				tests = append(tests, "`"+name+"`")
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.fault, row.happens, row.measured, strings.Join(tests, ", "))
	}
	return b.String()
}
