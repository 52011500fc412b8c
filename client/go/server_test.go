package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"cloneservice.example/client"
	pb "cloneservice.example/client/gen/cloneservice/v1"
)

// server is a running `cloneservice-server dev`, as it describes itself.
type server struct {
	Target    string            `json:"target"`
	Stripe    string            `json:"stripe"`
	Key       string            `json:"stripe_api_key"`
	Accounts  map[string]string `json:"accounts"`
	Customers map[string]string `json:"customers"`
	service   pb.CloneServiceClient
}

var dev server

func TestMain(m *testing.M) { os.Exit(runWithServer(m)) }

func runWithServer(m *testing.M) int {
	command := exec.Command(serverCommand(), "dev")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	must(err)
	output, err := command.StdoutPipe()
	must(err)
	must(command.Start())
	defer func() {
		input.Close() // the server stops
		_ = command.Wait()
	}()
	must(json.NewDecoder(output).Decode(&dev)) // one line, printed when it takes calls
	service, connection, err := client.Dial(dev.Target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	dev.service = service
	return m.Run()
}

func serverCommand() string {
	if command := os.Getenv("CLONESERVICE_SERVER"); command != "" {
		return command
	}
	return "cloneservice-server"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// stripe calls the double behind the server.
func (s *server) stripe(t *testing.T, method, path, account string, body any) map[string]any {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		must(json.NewEncoder(&content).Encode(body))
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.Stripe+path, &content)
	must(err)
	request.Header.Set("Authorization", "Bearer "+s.Key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if account != "" {
		request.Header.Set("Stripe-Account", account)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode >= 300 {
		t.Fatal(fmt.Errorf("%s %s answered %d: %v %v", method, path, response.StatusCode, answer, err))
	}
	return answer
}

// confirmations makes the next confirmations of payments go wrong as act says.
func (s *server) confirmations(t *testing.T, act string, times int, latency float64) {
	t.Helper()
	fault := map[string]any{
		"match": map[string]string{"method": "POST", "path": "/v1/payment_intents/{intent}/confirm"},
		"act":   act, "times": times,
	}
	if latency > 0 {
		fault["latency"] = latency
	}
	s.stripe(t, http.MethodPost, "/_fake/faults", "", fault)
}

// charged counts the charges of an amount that Stripe has on an account.
func (s *server) charged(t *testing.T, account string, amount int64) int {
	t.Helper()
	count := 0
	for _, charge := range s.stripe(t, http.MethodGet, "/v1/charges?limit=100", account, nil)["data"].([]any) {
		if charge.(map[string]any)["amount"] == float64(amount) {
			count++
		}
	}
	return count
}
