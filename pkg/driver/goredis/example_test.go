package goredis_test

import (
	"context"
	"fmt"
	"os"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

func ExampleNew() {
	ctx := context.Background()
	dialer := goredis.New(goredis.Options{Username: "admin", Password: os.Getenv("CLUSTER_PASSWORD")})
	conn, err := dialer.Dial(ctx, cluster.Addr{Host: "10.0.0.1", Port: 7000}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	replies, err := conn.Do(ctx, driver.Cmd("CLUSTER", "MYID"), driver.Cmd("DBSIZE"))
	fmt.Println(replies, err)
}
