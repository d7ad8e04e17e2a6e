package cli

import (
	"context"
	"errors"
	"os"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/sim/serve"
	"github.com/trib-dev/trib/internal/ui"
)

// playLab is lab up --simulated: it ends when it is interrupted, and that is its
// proper end.
func (app *App) playLab(ctx context.Context, o *labUpOptions) error {
	a, err := app.connect(ctx, config.Credentials{})
	if err != nil {
		return err
	}
	if a.encrypted {
		return usage("simulated nodes speak no TLS")
	}
	server, err := serve.Named(o.server)
	if err != nil {
		return usage("--server: %w", err)
	}
	service, err := serve.Start(serve.Options{
		Sim: sim.Options{
			Server: server, NodeTimeout: o.nodeTimeout, Password: a.credentials.Password.Reveal(), Untold: true,
		},
		Nodes: o.masters * (1 + o.replicas), FirstPort: o.firstPort,
	})
	if err != nil {
		return err
	}
	err = app.showPlayed(ctx, o, a, service)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, service.Close())
}

func (app *App) showPlayed(ctx context.Context, o *labUpOptions, a access, service *serve.Service) error {
	view := ui.Lab{Schema: ui.Schema, Command: "lab up", Simulated: true, Nodes: []ui.LabNode{}}
	var addrs []string
	for _, n := range service.Cluster.Nodes() {
		addrs = append(addrs, n.String())
		view.Nodes = append(view.Nodes, ui.LabNode{
			Addr: n.String(), Pid: os.Getpid(), Condition: "up", Server: n.Server().String() + " (simulated)",
		})
	}
	if !o.noCreate {
		var err error
		if view.Create, err = app.createOn(ctx, o, a, addrs); err != nil {
			return err
		}
		app.Terminal.Text(func(p *ui.Page) { p.Blank() })
	}
	app.begun.Store(false) // from here on an interruption leaves nothing half done
	return app.showUp(view)
}
