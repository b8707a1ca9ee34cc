package fidelity

import (
	"fmt"
	"strings"
)

// badDay is a row of docs/fidelity.md about a fault of the wire, a limit or a
// run under load: what was measured stands beside what happens.
type badDay struct {
	fault, happens, measured string
	// tests are names of tests of this package or, after its directory below
	// the repository, of another.
	tests []string
}

var badDays = []badDay{
	{
		"429 on every third request", "waits as long as the vendor says, all workers together; right",
		"both binaries, 1, 4 and 16 workers: right; each pause is logged once",
		[]string{"internal/e2e TestRateLimitsAreWaitedOut", "pkg/rest TestPauseHoldsAllRequestsBack", "pkg/rest TestAPauseIsLoggedOnce"},
	},
	{
		"`Retry-After` as seconds, as a date, as words; reset headers in seconds, milliseconds, since 1970", "the wait is what was meant; where nothing was, 2 s and twice as long each time, up to 32 s",
		"16 forms",
		[]string{"pkg/rest TestRetryAt", "pkg/rest TestOddLimitHeadersOnAGoodAnswerDoNoHarm"},
	},
	{
		"429 as soon as more than 2 or 3 requests are under way, no `Retry-After`", "the number of requests in flight is halved, and rises by one after each 100 answers; right",
		"on a clock of the test, 4 workers: 15 and 40 groups in 2.1 s, of which 2 s are the one pause; 1,000 groups with 6 pauses",
		[]string{"pkg/rest TestParallelRequestsAreHalved", "pkg/rest TestTheBoundOnRequestsInFlight"},
	},
	{
		"one request fails always while others, another form of the same list among them, are answered", "ends with Aborted after 15 minutes, an hour later where the vendor names times to wait",
		"on a clock of the test",
		[]string{"pkg/rest TestOnePlaceOutOfReachEndsASync", "pkg/rest TestAnotherFormOfAListHealsNothing"},
	},
	{
		"no good answer for 15 minutes (`--outage-minutes`)", "ends with Aborted, says since when and what the last answer was; the file stays as it was",
		"on a clock of the test: not before, not after; two faults an hour apart are no outage",
		[]string{"pkg/rest TestOutageEnds", "internal/e2e TestAnOutageCostsNoFile"},
	},
	{
		"failures in a row", "the wait grows from 1 s to 30 s and is short again after a success",
		"without that, the SDK's own wait reached 60 s after 12 minutes of 5 % faults and stayed there",
		[]string{"pkg/rest TestFailuresInARowWaitLonger"},
	},
	{
		"a request that hangs, or brings a byte a second", "is cut off after 60 s and asked again",
		"",
		[]string{"pkg/rest TestBrokenConnections"},
	},
	{
		"a redirect or a link to another origin, to http, to another name of the same host", "fails; nothing arrives there",
		"both binaries, a listener at the other origin",
		[]string{"pkg/rest TestCredentialStaysAtOneOrigin", "internal/e2e TestNothingIsSentInTheClear", "internal/e2e TestNothingLeaks"},
	},
	{
		"a connection that is refused, or a name that is not resolved, in the middle of a sync", "is asked for again; right",
		"in-process; DNS with an answer of failure and one of no such name",
		[]string{"internal/e2e TestAConnectionThatIsRefusedOnceCostsNobody", "internal/e2e TestANameThatIsLostOnceCostsNobody"},
	},
	{
		"a proxy in the environment; a private certificate authority", "are used; without the authority the run fails and names `SSL_CERT_FILE`",
		"both binaries",
		[]string{"internal/e2e TestAProxyFromTheEnvironmentIsUsed", "internal/e2e TestAHostInNoProxyIsReachedDirectly", "internal/e2e TestAPrivateAuthorityIsTrustedWhereItIsNamed"},
	},
	{
		"1 GiB of blanks, also as 1 MiB of gzip; a header of 12 MiB; 100,000 nested lists", "fails: FailedPrecondition",
		"the connector's process stays below 400 MiB, with 16 such answers at a time",
		[]string{"internal/e2e TestMonstersAreRefusedInLittleMemory", "pkg/rest TestBodiesAreBounded", "pkg/rest TestManyBombsAreReadOneAtATime"},
	},
	{
		"the failures of the wire above, and others, at `--log-level debug`",
		"no credential, plain, percent-encoded or in base64, in output, errors, page tokens, C1's messages, c1z or what a killed run leaves; in output and errors at `info` and above nobody's address",
		"in process: every row of the tables above, twice; one-shots: 17 ways with each vendor, of which 12 fail; daemons: 7 of them",
		[]string{"internal/e2e TestNothingLeaks", "internal/e2e TestNothingLeaksIntoC1", "internal/e2e TestNothingLeaksIntoTemporaryFiles", "TestFidelity"},
	},
	{
		"`HTTPS_PROXY` that cannot be parsed", "fails at the start and names the variable, not its value; net/http would connect directly and say nothing",
		"16 values",
		[]string{"pkg/rest TestAProxyThatCannotBeParsedIsRefused"},
	},
	{
		"a body that nobody can read: an encoding that was not asked for, no gzip although the header says so, a picture, bytes", "fails: FailedPrecondition, and says what is wrong; damaged gzip is asked for again; a byte order mark is skipped",
		"",
		[]string{"pkg/rest TestBodiesThatNobodyCanRead"},
	},
	{
		"202 with `Retry-After`", "is waited for, while other requests go on", "", []string{"pkg/rest TestAnAnswerThatIsNotReadyIsWaitedFor"},
	},
	{
		"a sync of a daemon that ends early, its answers read ahead and not used", "the next sync asks for all of them anew",
		"answers that are there, under way or not sent yet; on a clock of the test",
		[]string{"pkg/rest TestASyncReadsNothingOlderThanItself", "pkg/guru TestASyncAfterAnotherReadsMembersAnew"},
	},
	{
		"the credential sent back by the server: in another letter case, percent-encoded once or twice, as JSON, Go or HTML escape it, in base64 at any offset or of `user:token`, in hex, split by blanks, lines, markup or invisible characters; in bodies, messages, headers, a status line, the host of a redirect",
		"no 8 characters of it are in an error",
		"30 forms, each in 8 places; a fuzz test",
		[]string{"pkg/rest TestNoEchoOfTheCredentialShows", "pkg/rest FuzzVendorWords"},
	},
	{
		"jitter, 5 % of 429, 5 % of 5xx, resets, truncated and slow bodies together, sync after sync in a daemon", "every c1z is right; no goroutine and no file stays open; memory is level",
		"20,000 users and 200,000 memberships, all four daemons at once on two cores, two syncs each, all right: RudderStack with 4 and 16 workers 30 to 44 s, 1,049 requests of which 149 failed, connector 53 MB; Guru with 4 and 16 workers 153 to 350 s, 10,935 requests of which 1,325 failed, connector 51 to 55 MB. Small directories: 24 syncs in a row, 39 to 47 MB",
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
