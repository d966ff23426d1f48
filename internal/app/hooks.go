package app

import "github.com/veltrix/veltrix/internal/engine"

func (p *Processor) hooks() engine.Hooks { return engine.Hooks{} }
func (p *Processor) retire(*engine.View) {}
