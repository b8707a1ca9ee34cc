// Command plot draws the results of internal/bench as an SVG file, time.svg.
//
//	cd tools/plot && go run . ../../docs/performance/results.json ../../docs/performance
//
// It is a module of its own, so that the plotting library is no dependency of
// the connectors.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// results is the part of a results file that is drawn.
type results struct {
	Cases []measured `json:"cases"`
}

type measured struct {
	Case   string `json:"case"`
	Vendor string `json:"vendor"`
	Users  int    `json:"users"`
	Runs   map[string][]struct {
		Wall float64 `json:"wall_s"`
	} `json:"runs"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: plot RESULTS.json DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // the file that the caller names
	if err != nil {
		return err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	p := newPlot("A sync of 1,000 to 100,000 users", "users (10 memberships each)", "seconds")
	for i, line := range []struct {
		name, vendor, variant string
		cases                 []string
	}{
		{"Guru, 20 ms an answer", "guru", "connector", []string{"growth-latency"}},
		{"RudderStack, 20 ms an answer", "rudderstack", "connector", []string{"growth-latency"}},
		{"Guru, no latency", "guru", "connector", []string{"growth", "large"}},
		{"RudderStack, no latency", "rudderstack", "connector", []string{"growth", "large"}},
		{"SDK alone", "rudderstack", "floor", []string{"growth", "large"}},
	} {
		points := r.points(line.vendor, line.cases, func(m measured) (float64, float64) { return float64(m.Users), m.wall(line.variant) })
		if err := addLine(p, line.name, points, colours[i], shapes[i]); err != nil {
			return err
		}
	}
	return save(p, to, "time.svg")
}

// points are the measured values that can be drawn on two logarithmic axes.
func (r results) points(vendor string, cases []string, of func(measured) (x, y float64)) plotter.XYs {
	var points plotter.XYs
	for _, m := range r.Cases {
		if m.Vendor != vendor || !slices.Contains(cases, m.Case) {
			continue
		}
		if x, y := of(m); x > 0 && y > 0 {
			points = append(points, plotter.XY{X: x, Y: y})
		}
	}
	slices.SortFunc(points, func(a, b plotter.XY) int { return int(a.X - b.X) })
	return points
}

func (m measured) wall(variant string) float64 {
	var values []float64
	for _, run := range m.Runs[variant] {
		values = append(values, run.Wall)
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}

var (
	grey   = color.RGBA{0x75, 0x75, 0x75, 0xff}
	blue   = color.RGBA{0x15, 0x65, 0xc0, 0xff}
	orange = color.RGBA{0xd8, 0x5a, 0x0c, 0xff}
	teal   = color.RGBA{0x00, 0x79, 0x6b, 0xff}
	red    = color.RGBA{0xb7, 0x1c, 0x1c, 0xff}

	colours = []color.Color{orange, blue, red, teal, grey}
	shapes  = []draw.GlyphDrawer{draw.TriangleGlyph{}, draw.CircleGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}}
)

func newPlot(title, x, y string) *plot.Plot {
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Scale, axis.Tick.Marker = plot.LogScale{}, decades{}
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(3)
	grid := plotter.NewGrid()
	light := color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
	grid.Horizontal.Color, grid.Vertical.Color = light, light
	p.Add(grid)
	return p
}

func addLine(p *plot.Plot, name string, points plotter.XYs, c color.Color, shape draw.GlyphDrawer) error {
	if len(points) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	line.Color, line.Width = c, vg.Points(1.5)
	dots.Color, dots.Shape, dots.Radius = c, shape, vg.Points(3)
	p.Add(line, dots)
	p.Legend.Add(name, line, dots)
	return nil
}

// save draws what has data; an axis without any cannot be drawn.
func save(p *plot.Plot, dir, name string) error {
	if !(p.X.Max > p.X.Min && p.Y.Max > p.Y.Min) {
		fmt.Fprintf(os.Stderr, "plot: no data for %s\n", name)
		return nil
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} { // room for the outermost points
		axis.Min, axis.Max = axis.Min/1.2, axis.Max*1.2
	}
	p.Y.Max *= 2 // and for the legend
	image, err := p.WriterTo(vg.Points(460), vg.Points(320), "svg")
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if _, err := image.WriteTo(&svg); err != nil {
		return err
	}
	// The library names one font, which not every machine has.
	text := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
	return os.WriteFile(filepath.Join(dir, name), text, 0o644) //nolint:gosec // for everybody
}

// decades marks 1, 3 and 10 of every decade.
type decades struct{}

func (decades) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, step := range []float64{1, 3} {
			value := step * math.Pow(10, e)
			if value < low || value > high {
				continue
			}
			ticks = append(ticks, plot.Tick{Value: value, Label: label(value)})
		}
	}
	return ticks
}

// label writes a number as people read it, such as 0.3 or 30,000.
func label(value float64) string {
	if value < 1 {
		return fmt.Sprintf("%.1g", value)
	}
	digits := fmt.Sprintf("%.0f", value)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
