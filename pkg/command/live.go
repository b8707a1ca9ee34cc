package command

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/conductorone/baton-connectors/pkg/connector"
	"github.com/conductorone/baton-connectors/pkg/rest"
)

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// canRedraw reports whether the terminal can draw over a line.
func canRedraw() bool { return os.Getenv("TERM") != "dumb" }

// liveLine is a line on a terminal that shows the progress of a sync and is
// redrawn in place. A nil liveLine shows nothing. It has no colours, so NO_COLOR
// does not matter.
type liveLine struct {
	counter *connector.Counter
	stats   *rest.Stats
	now     func() time.Time
	// vendor is the vendor's name.
	vendor string
	phase  atomic.Value // a string that replaces the counts; "" for none

	mu        sync.Mutex
	container *mpb.Progress
	bar       *mpb.Bar
}

// start draws the line. It is redrawn until stop.
func (l *liveLine) start(counter *connector.Counter, stats *rest.Stats) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counter, l.stats = counter, stats
	l.container = mpb.New(mpb.WithOutput(os.Stderr), mpb.WithRefreshRate(200*time.Millisecond), mpb.WithWidth(1))
	l.bar = l.container.New(0, mpb.NopStyle(), mpb.BarFillerTrim(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return l.text() })))
}

// show replaces the counts by the name of a phase that has none.
func (l *liveLine) show(phase string) {
	if l != nil {
		l.phase.Store(phase)
	}
}

// print writes a line above the live one.
func (l *liveLine) print(text string) {
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.container != nil {
			_, _ = l.container.Write([]byte(text + "\n"))
			return
		}
	}
	fmt.Fprintln(os.Stderr, text)
}

// stop removes the line.
func (l *liveLine) stop() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.container == nil {
		return
	}
	l.bar.Abort(true)
	l.container.Wait()
	l.container = nil
}

// text returns the line: phase, count, rate, time left, and the reason for a
// wait.
func (l *liveLine) text() string {
	if phase, _ := l.phase.Load().(string); phase != "" {
		return phase
	}
	progress := l.counter.Progress()
	text := "checking the credential"
	if progress.Reading != "" {
		text = progressText(progress, l.now().Sub(progress.Since))
	}
	if until, reason, waits := l.stats.Waiting(); waits {
		wait := max(until.Sub(l.now()), time.Second).Round(time.Second)
		text += fmt.Sprintf(" · waiting %s: %s", wait, l.because(reason))
	}
	return text
}

// because returns why requests wait.
func (l *liveLine) because(reason string) string {
	if strings.HasPrefix(reason, "429 ") {
		return l.vendor + " limits requests"
	}
	return l.vendor + " is unreachable (" + reason + ")"
}

// progressText describes the progress of a phase that has taken so long.
func progressText(p connector.Progress, took time.Duration) string {
	text := fmt.Sprintf("%s %s", p.Reading, connector.Thousands(p.Done))
	known := p.Total >= p.Done && p.Total > 0
	if known {
		text += " of " + connector.Thousands(p.Total)
	}
	if took < time.Second || p.Done == 0 {
		return text
	}
	rate := float64(p.Done) / took.Seconds()
	text += fmt.Sprintf(" · %s/s", connector.Thousands(int(rate+0.5)))
	if left := time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second)); known && left >= time.Second {
		text += fmt.Sprintf(" · %s left", left.Round(time.Second))
	}
	return text
}
