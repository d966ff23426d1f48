package app

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// devices returns the deployment's devices in Redis.
func (rt Runtime) devices(client redis.UniversalClient) *redisstore.Devices {
	return redisstore.NewDevices(client, rt.Config.Prefix, rt.Config.Notifier.DevicesMax, rt.Config.Notifier.DeviceLife)
}

// Devices waits for Redis and returns what keeps the participants' devices;
// close it.
func (rt Runtime) Devices(ctx context.Context) (_ delivery.Devices, closing func(), _ error) {
	client, err := rt.awaitRedis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return rt.devices(client), func() { _ = client.Close() }, nil
}

// Preferences waits for Redis and returns what keeps the participants' preferences;
// close it.
func (rt Runtime) Preferences(ctx context.Context) (_ delivery.PreferenceStore, closing func(), _ error) {
	client, err := rt.awaitRedis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return redisstore.NewGate(client, rt.Config.Prefix), func() { _ = client.Close() }, nil
}
