package redisstore

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
)

var (
	//go:embed device_put.lua
	devicePutSource string
	//go:embed device_drop.lua
	deviceDropSource string

	devicePut  = redis.NewScript(devicePutSource)
	deviceDrop = redis.NewScript(deviceDropSource)
)

// deviceSettled is the age from which a device without its token has lost it:
// one that is younger may be in the middle of a Put.
const deviceSettled = time.Hour

// Devices keeps the participants' devices in Redis.
//
// Invariant: a device is used only while the owner key of its token names this
// participant and this ID. There is one such key for a token, so a token is never
// of two. It lies in another slot than the devices, so Put writes twice, the
// device first: a crash in between leaves the token with whoever had it, or with
// nobody, and a device that is refused takes nothing away. The client was told of
// no success and registers again.
//
// Owner keys are not deleted, they end with their life. One whose device is gone,
// or has another token by now, lets nobody use anything; and a deletion could come
// between the two writes of a Put that repeats the same token, and undo it.
type Devices struct {
	client redis.UniversalClient
	prefix string
	max    int
	life   time.Duration
}

var _ delivery.Devices = (*Devices)(nil)

// NewDevices returns the devices under prefix: at most devicesMax for each
// participant, and each for life after it was registered last.
func NewDevices(client redis.UniversalClient, prefix string, devicesMax int, life time.Duration) *Devices {
	return &Devices{client: client, prefix: prefix, max: devicesMax, life: life}
}

// deviceRecord is a device as it is stored. Registered is in µs since 1970.
type deviceRecord struct {
	Channel    string `json:"channel"`
	Token      string `json:"token"`
	P256dh     string `json:"p256dh,omitempty"`
	Auth       string `json:"auth,omitempty"`
	Registered int64  `json:"registered"`
}

// Put implements delivery.Devices. Registered is kept in whole microseconds.
func (s *Devices) Put(ctx context.Context, participant string, d delivery.Device) error {
	record, err := json.Marshal(deviceRecord{d.Channel, d.Token, d.P256dh, d.Auth, d.Registered.UnixMicro()})
	if err != nil {
		return fmt.Errorf("encode a device: %w", err)
	}
	written, err := s.write(ctx, participant, d.ID, record)
	if err == nil && !written {
		if err = s.sweep(ctx, participant); err == nil {
			written, err = s.write(ctx, participant, d.ID, record)
		}
	}
	if err != nil {
		return fmt.Errorf("register a device: %w", err)
	}
	if !written {
		return delivery.ErrDevicesFull
	}
	if err := s.client.Set(ctx, tokenOwnerKey(s.prefix, d.Token), tokenOwner(participant, d.ID), s.life).Err(); err != nil {
		return fmt.Errorf("give a token to its device: %w", err)
	}
	return nil
}

func (s *Devices) write(ctx context.Context, participant, id string, record []byte) (bool, error) {
	return devicePut.Run(ctx, s.client, []string{devicesKey(s.prefix, participant)}, id, record, s.max, s.life.Milliseconds()).Bool()
}

// sweep takes out the devices whose token is somebody else's for good.
func (s *Devices) sweep(ctx context.Context, participant string) error {
	all, err := s.read(ctx, participant)
	if err != nil {
		return err
	}
	for _, k := range all {
		if !k.owned && time.Since(k.Registered) > deviceSettled {
			if _, err := s.drop(ctx, participant, k.ID, k.stored); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Devices) drop(ctx context.Context, participant, id, stored string) (bool, error) {
	return deviceDrop.Run(ctx, s.client, []string{devicesKey(s.prefix, participant)}, id, stored).Bool()
}

// Delete implements delivery.Devices.
func (s *Devices) Delete(ctx context.Context, participant, id string) error {
	if err := s.client.HDel(ctx, devicesKey(s.prefix, participant), id).Err(); err != nil {
		return fmt.Errorf("delete a device: %w", err)
	}
	return nil
}

// List implements delivery.Devices.
func (s *Devices) List(ctx context.Context, participant string) ([]delivery.Device, error) {
	all, err := s.read(ctx, participant)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var out []delivery.Device
	for _, k := range all {
		if k.owned {
			out = append(out, k.Device)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out, nil
}

// keptDevice is a device as it was found, stored as its JSON.
type keptDevice struct {
	delivery.Device
	stored string
	owned  bool // its token is still its own
}

// read returns a participant's devices in no order, those without their token
// included.
func (s *Devices) read(ctx context.Context, participant string) ([]keptDevice, error) {
	stored, err := s.client.HGetAll(ctx, devicesKey(s.prefix, participant)).Result()
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	all := make([]keptDevice, 0, len(stored))
	owners := make([]*redis.StringCmd, 0, len(stored))
	pipe := s.client.Pipeline() // of commands in many slots; each answers for itself
	for id, text := range stored {
		d := decodeDevice(id, text)
		all = append(all, keptDevice{Device: d, stored: text})
		owners = append(owners, pipe.Get(ctx, tokenOwnerKey(s.prefix, d.Token)))
	}
	_, _ = pipe.Exec(ctx) // its error is one of those below
	for i, owner := range owners {
		named, err := owner.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		all[i].owned = named == tokenOwner(participant, all[i].ID)
	}
	return all, nil
}

// Find implements delivery.Devices.
func (s *Devices) Find(ctx context.Context, participant, id string) (*delivery.Device, error) {
	k, err := s.find(ctx, participant, id)
	if err != nil {
		return nil, fmt.Errorf("find a device: %w", err)
	}
	if !k.owned {
		return nil, nil
	}
	return &k.Device, nil
}

func (s *Devices) find(ctx context.Context, participant, id string) (keptDevice, error) {
	stored, err := s.client.HGet(ctx, devicesKey(s.prefix, participant), id).Result()
	if errors.Is(err, redis.Nil) {
		return keptDevice{}, nil
	}
	if err != nil {
		return keptDevice{}, err
	}
	k := keptDevice{Device: decodeDevice(id, stored), stored: stored}
	owner, err := s.client.Get(ctx, tokenOwnerKey(s.prefix, k.Token)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return keptDevice{}, err
	}
	k.owned = owner == tokenOwner(participant, id)
	return k, nil
}

// Prune implements delivery.Devices.
func (s *Devices) Prune(ctx context.Context, participant, id, token string, seen time.Time) (bool, error) {
	k, err := s.find(ctx, participant, id)
	if err != nil {
		return false, fmt.Errorf("prune a device: %w", err)
	}
	if k.stored == "" || k.Token != token || k.Registered.After(seen) {
		return false, nil
	}
	dropped, err := s.drop(ctx, participant, id, k.stored)
	if err != nil {
		return false, fmt.Errorf("prune a device: %w", err)
	}
	return dropped, nil
}

// decodeDevice reads a stored device. One that cannot be read comes without a
// token, which belongs to nobody: it must not hold up the others.
func decodeDevice(id, stored string) delivery.Device {
	var r deviceRecord
	if err := json.Unmarshal([]byte(stored), &r); err != nil {
		return delivery.Device{ID: id}
	}
	return delivery.Device{
		ID: id, Channel: r.Channel, Token: r.Token, P256dh: r.P256dh, Auth: r.Auth,
		Registered: time.UnixMicro(r.Registered).UTC(),
	}
}
