package chaos

import (
	"context"
	"fmt"
	"time"
)

func redisFaults() []Fault {
	down := lasting("down", 500*time.Millisecond, "until it is started again")
	return []Fault{
		{
			Name: "redis-kill", Ends: endsClean, Does: "Redis is killed with SIGKILL and started again on its append-only file, which is synced once a second.",
			Params: []Param{down, {Name: "lose", Default: 0, Max: 1 << 20, Does: "bytes cut off the file's end, as a power cut does"}},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				defer r.lock("redis")()
				r.redis.kill()
				r.forgot.Store(true)
				i := r.inject(f, p)
				err := sleep(ctx, p.duration("down"))
				if cutErr := r.redis.cut(p.number("lose")); cutErr != nil {
					return cutErr
				}
				return r.redisAgain(i, err)
			},
		},
		{
			Name: "redis-rollback", Ends: endsClean, Does: "Redis comes back with an older copy of its data, as from a backup or an asynchronous replica.",
			Params: []Param{lasting("age", 2*time.Second, "age of the copy"), down},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				defer r.lock("redis")()
				if err := r.redis.copyData(); err != nil {
					return err
				}
				if err := sleep(ctx, p.duration("age")); err != nil {
					return err
				}
				r.redis.kill()
				r.forgot.Store(true)
				i := r.inject(f, p)
				err := sleep(ctx, p.duration("down"))
				if backErr := r.redis.restoreData(); backErr != nil {
					return backErr
				}
				return r.redisAgain(i, err)
			},
		},
		{
			Name: "redis-flush", Ends: endsClean, Does: "FLUSHALL: Redis loses everything.",
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				defer r.lock("redis")()
				r.forgot.Store(true)
				if err := r.client.FlushAll(ctx).Err(); err != nil {
					return fmt.Errorf("flush redis: %w", err)
				}
				r.inject(f, p).over()
				return nil
			},
		},
		{
			Name: "redis-bucket-delete", Ends: endsClean, Does: "One bucket of a partition is deleted, as an eviction does.",
			Params: []Param{partition()},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				return r.deleteKeys(ctx, f, p, "*:0")
			},
		},
		{
			Name: "redis-meta-delete", Ends: endsClean, Does: "A partition's meta hash is deleted: its position is lost, its values stay.",
			Params: []Param{partition()},
			do: func(ctx context.Context, r *run, f *Fault, p Params) error {
				return r.deleteKeys(ctx, f, p, "meta")
			},
		},
	}
}

func (r *run) redisAgain(i *injection, err error) error {
	if startErr := r.redis.start(); startErr != nil {
		return startErr
	}
	i.over()
	return err
}

// deleteKeys deletes keys of a partition, which must be there.
func (r *run) deleteKeys(ctx context.Context, f *Fault, p Params, suffix string) error {
	defer r.lock("redis")()
	pattern := fmt.Sprintf("{%s.events.*/%d}:%s", r.prefix, p.number("partition"), suffix)
	keys, err := r.client.Keys(ctx, pattern).Result()
	if err != nil {
		return fmt.Errorf("look for %s: %w", pattern, err)
	}
	if len(keys) == 0 {
		return fmt.Errorf("redis has no %s: nothing to delete", pattern)
	}
	if err := r.client.Del(ctx, keys...).Err(); err != nil {
		return fmt.Errorf("delete %v: %w", keys, err)
	}
	r.inject(f, p).over()
	return nil
}
