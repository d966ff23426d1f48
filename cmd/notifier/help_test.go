package main

import (
	"testing"

	"github.com/veltrix/veltrix/internal/app/apptest"
)

func TestHelp(t *testing.T) { apptest.Help(t, command()) }
