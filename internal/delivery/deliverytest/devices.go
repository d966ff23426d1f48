package deliverytest

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// DevicesMax is how many devices a participant may have in NewDevices.
const DevicesMax = 32

// Devices is a delivery.Devices in memory.
type Devices struct {
	mu     sync.Mutex
	byID   map[deviceName]delivery.Device
	owners map[string]deviceName // by token
}

type deviceName struct{ participant, id string }

// NewDevices returns devices of nobody, at most DevicesMax for each participant.
func NewDevices() *Devices {
	return &Devices{byID: map[deviceName]delivery.Device{}, owners: map[string]deviceName{}}
}

// Put implements delivery.Devices.
func (m *Devices) Put(_ context.Context, participant string, d delivery.Device) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := deviceName{participant, d.ID}
	_, known := m.byID[name]
	if !known && len(m.list(participant)) >= DevicesMax {
		return delivery.ErrDevicesFull
	}
	m.drop(name)
	m.drop(m.owners[d.Token])
	m.byID[name], m.owners[d.Token] = d, name
	return nil
}

func (m *Devices) drop(name deviceName) {
	delete(m.owners, m.byID[name].Token)
	delete(m.byID, name)
}

// Delete implements delivery.Devices.
func (m *Devices) Delete(_ context.Context, participant, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(deviceName{participant, id})
	return nil
}

// List implements delivery.Devices.
func (m *Devices) List(_ context.Context, participant string) ([]delivery.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(participant), nil
}

func (m *Devices) list(participant string) []delivery.Device {
	var out []delivery.Device
	for name, d := range m.byID {
		if name.participant == participant {
			out = append(out, d)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// Find implements delivery.Devices.
func (m *Devices) Find(_ context.Context, participant, id string) (*delivery.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.byID[deviceName{participant, id}]
	if !ok {
		return nil, nil
	}
	return &d, nil
}

// Prune implements delivery.Devices.
func (m *Devices) Prune(_ context.Context, participant, id, token string, seen time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := deviceName{participant, id}
	d, ok := m.byID[name]
	if !ok || d.Token != token || d.Registered.After(seen) {
		return false, nil
	}
	m.drop(name)
	return true, nil
}
