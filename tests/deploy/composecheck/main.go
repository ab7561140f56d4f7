// Loads a compose file as Docker Compose does, with its own loader, and prints the resolved project as JSON.
// Usage: composecheck PROFILES FILE...   (profiles separated by commas; "" for none)
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[2:], cli.WithOsEnv, cli.WithDotEnv, cli.WithProfiles(strings.Split(os.Args[1], ",")))
	if err == nil {
		project, failed := options.LoadProject(context.Background())
		if err = failed; err == nil {
			text, _ := project.MarshalJSON()
			fmt.Println(string(text))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
