package flights

import (
	"archive/zip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Tables are the two small files beside the flights.
type Tables struct {
	zones map[string]*time.Location // by airport
	seats map[string]int            // by tail number; many aircraft are missing
}

// ReadTables reads airports.csv and planes.csv.
func ReadTables(airports, planes io.Reader) (*Tables, error) {
	t := &Tables{zones: map[string]*time.Location{}, seats: map[string]int{}}
	for faa, zone := range withoutEntry {
		t.zones[faa] = zone
	}
	err := eachRow(airports, []string{"faa", "tzone"}, func(v []string) error {
		if absent(v[1]) {
			return nil // an airport without a zone is refused when a flight needs it
		}
		zone, err := time.LoadLocation(v[1])
		if err != nil {
			return fmt.Errorf("load the time zone of %s: %w", v[0], err)
		}
		t.zones[v[0]] = zone
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read airports: %w", err)
	}
	err = eachRow(planes, []string{"tailnum", "seats"}, func(v []string) error {
		if absent(v[1]) {
			return nil
		}
		seats, err := strconv.Atoi(v[1])
		if err != nil {
			return fmt.Errorf("read the seats of %s: %w", v[0], err)
		}
		t.seats[v[0]] = seats
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read planes: %w", err)
	}
	return t, nil
}

// Open opens the data folder of the package: flights.csv.zip (or flights.csv,
// unpacked), airports.csv and planes.csv. The caller closes the flights.
func Open(dir string) (flights io.ReadCloser, tables *Tables, err error) {
	airports, err := os.Open(filepath.Join(dir, "airports.csv"))
	if err != nil {
		return nil, nil, err
	}
	defer airports.Close()
	planes, err := os.Open(filepath.Join(dir, "planes.csv"))
	if err != nil {
		return nil, nil, err
	}
	defer planes.Close()
	if tables, err = ReadTables(airports, planes); err != nil {
		return nil, nil, err
	}
	plain, err := os.Open(filepath.Join(dir, "flights.csv"))
	if err == nil {
		return plain, tables, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	flights, err = openZip(filepath.Join(dir, "flights.csv.zip"))
	return flights, tables, err
}

// zipped is the one file of an archive; closing it closes both.
type zipped struct {
	io.ReadCloser
	archive *zip.ReadCloser
}

func (z zipped) Close() error { return errors.Join(z.ReadCloser.Close(), z.archive.Close()) }

func openZip(name string) (io.ReadCloser, error) {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, ".csv") {
			content, err := f.Open()
			if err != nil {
				return nil, errors.Join(fmt.Errorf("open %s in %s: %w", f.Name, name, err), archive.Close())
			}
			return zipped{content, archive}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s holds no .csv file", name), archive.Close())
}

// absent says whether a cell holds no value: the sources write "NA", nothing,
// or "\N".
func absent(cell string) bool { return cell == "" || cell == "NA" || cell == `\N` }

// eachRow calls visit with the named columns of every row, in order. The slice
// is valid during the call only.
func eachRow(r io.Reader, columns []string, visit func([]string) error) error {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return fmt.Errorf("read the header line: %w", err)
	}
	places := make([]int, len(columns))
	for i, column := range columns {
		places[i] = -1
		for at, name := range header {
			if name == column {
				places[i] = at
			}
		}
		if places[i] < 0 {
			return fmt.Errorf("there is no column %q", column)
		}
	}
	values := make([]string, len(columns))
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, at := range places {
			values[i] = row[at]
		}
		if err := visit(values); err != nil {
			line, _ := rows.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}
