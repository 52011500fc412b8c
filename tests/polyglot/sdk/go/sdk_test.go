// Stripe's SDK for Go against a double of Stripe. run.py starts the double and says by environment where it is.
package sdktest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85"
)

var (
	base      = os.Getenv("STRIPE_BASE")
	key       = os.Getenv("STRIPE_KEY")
	seller    = os.Getenv("STRIPE_SELLER")
	stateless = os.Getenv("STRIPE_STATELESS") != ""
	client    = connect(key, 0)
)

// protocol notes which HTTP the double was spoken to in.
type protocol struct {
	http.RoundTripper
	seen string
}

func (p *protocol) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.RoundTripper.RoundTrip(request)
	if err == nil {
		p.seen = response.Proto
	}
	return response, err
}

// wire is shared by all clients of this process. The SDK's own client speaks HTTP/1.1 only; this one negotiates.
var wire = func() *protocol {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	if authority, err := os.ReadFile(os.Getenv("STRIPE_CA")); err == nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	} else if stateless {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // stripe-mock's certificate is nobody's
	}
	return &protocol{RoundTripper: transport}
}()

func connect(key string, retries int64) *stripe.Client {
	stripe.EnableTelemetry = false
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               &base,
		HTTPClient:        &http.Client{Transport: wire, Timeout: 20 * time.Second},
		MaxNetworkRetries: &retries,
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return stripe.NewClient(key, stripe.WithBackends(backends))
}

func there() stripe.Params { return stripe.Params{StripeAccount: &seller} }

func ok[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func needsState(t *testing.T) context.Context {
	t.Helper()
	if stateless {
		t.Skip("needs a double that remembers")
	}
	return t.Context()
}

func savedCard(t *testing.T, card string) (*stripe.Customer, *stripe.PaymentMethod) {
	t.Helper()
	customer := ok(client.V1Customers.Create(t.Context(), &stripe.CustomerCreateParams{Email: stripe.String("ada@example.com")}))(t)
	attach := &stripe.PaymentMethodAttachParams{Customer: &customer.ID}
	return customer, ok(client.V1PaymentMethods.Attach(t.Context(), card, attach))(t)
}

func TestExamples(t *testing.T) {
	ctx := t.Context()
	customer := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Email: stripe.String("ada@example.com")}))(t)
	if customer.Object != "customer" || customer.Email != "ada@example.com" {
		t.Errorf("got %+v", customer)
	}
	found := ok(client.V1Customers.Retrieve(ctx, customer.ID, nil))(t)
	changed := ok(client.V1Customers.Update(ctx, customer.ID, &stripe.CustomerUpdateParams{Description: stripe.String("x")}))(t)
	if found.ID != customer.ID || changed.ID != customer.ID || changed.Description != "x" {
		t.Errorf("got %+v and %+v", found, changed)
	}
	intent := ok(client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Params: there(), Amount: stripe.Int64(1999), Currency: stripe.String("usd"),
		PaymentMethodTypes: []*string{stripe.String("card")},
	}))(t)
	if intent.Object != "payment_intent" || intent.Amount != 1999 {
		t.Errorf("got %+v", intent)
	}
	count := 0
	for _, err := range client.V1Customers.List(ctx, &stripe.CustomerListParams{}).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count == 0 {
		t.Error("no customer is listed")
	}
	if _, err := client.V1Refunds.Create(ctx, &stripe.RefundCreateParams{Reason: stripe.String("no_such_reason")}); !is(err, stripe.ErrorTypeInvalidRequest, 400) {
		t.Errorf("got %v", err)
	}
	if gone := ok(client.V1Customers.Delete(ctx, customer.ID, nil))(t); !gone.Deleted {
		t.Errorf("got %+v", gone)
	}
	if strings.HasPrefix(base, "https:") && wire.seen != "HTTP/2.0" || strings.HasPrefix(base, "http:") && wire.seen != "HTTP/1.1" {
		t.Errorf("%s was spoken to in %s", base, wire.seen)
	}
}

func TestPaymentMethodFlow(t *testing.T) {
	ctx := needsState(t)
	customer, saved := savedCard(t, "pm_card_visa")
	clone := ok(client.V1PaymentMethods.Create(ctx, &stripe.PaymentMethodCreateParams{
		Params: there(), Customer: &customer.ID, PaymentMethod: &saved.ID,
	}))(t)
	theirs := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Params: there(), PaymentMethod: &clone.ID}))(t)
	paid := ok(client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Params: there(), Amount: stripe.Int64(1999), Currency: stripe.String("usd"), Confirm: stripe.Bool(true),
		Customer: &theirs.ID, PaymentMethod: &clone.ID, ApplicationFeeAmount: stripe.Int64(199),
		PaymentMethodTypes: []*string{stripe.String("card")},
	}))(t)
	if clone.ID == saved.ID || paid.Status != stripe.PaymentIntentStatusSucceeded {
		t.Errorf("clone %s of %s, paid %s", clone.ID, saved.ID, paid.Status)
	}
}

func TestTokenFlow(t *testing.T) {
	ctx := needsState(t)
	customer := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Source: stripe.String("tok_visa")}))(t)
	token := ok(client.V1Tokens.Create(ctx, &stripe.TokenCreateParams{Params: there(), Customer: &customer.ID}))(t)
	charge := &stripe.ChargeCreateParams{Params: there(), Amount: stripe.Int64(900), Currency: stripe.String("usd")}
	if err := charge.SetSource(token.ID); err != nil {
		t.Fatal(err)
	}
	if paid := ok(client.V1Charges.Create(ctx, charge))(t); !paid.Paid {
		t.Errorf("got %+v", paid)
	}
	again := &stripe.ChargeCreateParams{Params: there(), Amount: stripe.Int64(900), Currency: stripe.String("usd"), Source: charge.Source}
	var failed *stripe.Error
	if _, err := client.V1Charges.Create(ctx, again); !errors.As(err, &failed) || failed.Code != "token_already_used" {
		t.Errorf("got %v", err)
	}
}

func TestSourceFlow(t *testing.T) {
	ctx := needsState(t)
	source := ok(client.V1Sources.Create(ctx, &stripe.SourceCreateParams{Type: stripe.String("card"), Token: stripe.String("tok_visa")}))(t)
	customer := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Source: &source.ID}))(t)
	clone := ok(client.V1Sources.Create(ctx, &stripe.SourceCreateParams{
		Params: there(), Customer: &customer.ID, OriginalSource: &source.ID,
	}))(t)
	theirs := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Params: there(), Source: &clone.ID}))(t)
	charge := &stripe.ChargeCreateParams{
		Params: there(), Amount: stripe.Int64(900), Currency: stripe.String("usd"), Customer: &theirs.ID,
	}
	if paid := ok(client.V1Charges.Create(ctx, charge))(t); !paid.Paid || paid.Source.ID != clone.ID {
		t.Errorf("got %+v", paid)
	}
}

func TestPagination(t *testing.T) {
	ctx := needsState(t)
	made := map[string]bool{}
	for range 7 {
		made[ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Params: there()}))(t).ID] = true
	}
	seen := 0
	params := &stripe.CustomerListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(3), StripeAccount: &seller}}
	for customer, err := range client.V1Customers.List(ctx, params).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		delete(made, customer.ID)
	}
	if len(made) > 0 || seen < 7 {
		t.Errorf("%d customers listed, %d are missing", seen, len(made))
	}
}

func is(err error, kind stripe.ErrorType, status int) bool {
	var failed *stripe.Error
	return errors.As(err, &failed) && failed.Type == kind && failed.HTTPStatusCode == status
}

func TestErrors(t *testing.T) {
	ctx := needsState(t)
	customer, declined := savedCard(t, "pm_card_chargeCustomerFail")
	pay := &stripe.PaymentIntentCreateParams{
		Amount: stripe.Int64(1999), Currency: stripe.String("usd"), Confirm: stripe.Bool(true), Customer: &customer.ID,
		PaymentMethod: &declined.ID, PaymentMethodTypes: []*string{stripe.String("card")},
	}
	_, err := client.V1PaymentIntents.Create(ctx, pay)
	var card *stripe.CardError
	var failed *stripe.Error
	if !errors.As(err, &card) || !errors.As(err, &failed) || failed.DeclineCode != "generic_decline" || failed.PaymentIntent == nil {
		t.Errorf("a decline: %v", err)
	}
	_, err = client.V1Customers.Retrieve(ctx, "cus_nobody", nil)
	var invalid *stripe.InvalidRequestError
	if !errors.As(err, &invalid) || !is(err, stripe.ErrorTypeInvalidRequest, 404) {
		t.Errorf("nobody: %v", err)
	}
	if _, err = connect("sk_test_invalid", 0).V1Customers.Create(ctx, nil); !is(err, stripe.ErrorTypeInvalidRequest, 401) {
		t.Errorf("a wrong key: %v", err)
	}
	stranger := &stripe.CustomerCreateParams{Params: stripe.Params{StripeAccount: stripe.String("acct_1Stranger")}}
	if _, err = client.V1Customers.Create(ctx, stranger); !is(err, stripe.ErrorTypeInvalidRequest, 403) {
		t.Errorf("a stranger's account: %v", err)
	}
	control(t, map[string]any{"match": map[string]string{"path": "/v1/customers"}, "act": map[string]any{"kind": "status", "status": 500}})
	var api *stripe.APIError
	if _, err = client.V1Customers.Create(ctx, nil); !is(err, stripe.ErrorTypeAPI, 500) || !errors.As(err, &api) {
		t.Errorf("a 500: %v", err)
	}
	reuse := func(amount int64) error {
		params := &stripe.PaymentIntentCreateParams{Amount: &amount, Currency: stripe.String("usd")}
		params.SetIdempotencyKey("go-" + key)
		_, err := client.V1PaymentIntents.Create(ctx, params)
		return err
	}
	var idempotency *stripe.IdempotencyError
	if first, second := reuse(100), reuse(200); first != nil || !errors.As(second, &idempotency) {
		t.Errorf("a key with other parameters: %v, %v", first, second)
	}
}

func TestLostAnswers(t *testing.T) {
	ctx := needsState(t)
	control(t, map[string]any{
		"match": map[string]string{"method": "POST", "path": "/v1/payment_intents"}, "act": "commit_then_drop", "times": 2,
	})
	made := ok(connect(key, 3).V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Params: there(), Amount: stripe.Int64(4242), Currency: stripe.String("usd"),
	}))(t)
	count := 0
	params := &stripe.PaymentIntentListParams{ListParams: stripe.ListParams{StripeAccount: &seller}}
	for intent, err := range client.V1PaymentIntents.List(ctx, params).All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if intent.Amount == 4242 {
			count++
		}
	}
	if count != 1 || made.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%d intents, headers %v", count, made.LastResponse.Header)
	}
}

func TestWebhook(t *testing.T) {
	ctx := needsState(t)
	type delivery struct {
		body      []byte
		signature string
	}
	heard := make(chan delivery, 10)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		heard <- delivery{body, request.Header.Get("Stripe-Signature")}
	}))
	defer listener.Close()
	endpoint := ok(client.V1WebhookEndpoints.Create(ctx, &stripe.WebhookEndpointCreateParams{
		URL: &listener.URL, EnabledEvents: []*string{stripe.String("customer.created")}, Connect: stripe.Bool(true),
		APIVersion: stripe.String(stripe.APIVersion),
	}))(t)
	customer := ok(client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{Params: there(), Name: stripe.String("Ada")}))(t)
	select {
	case sent := <-heard:
		event := ok(stripe.ConstructEvent(sent.body, sent.signature, endpoint.Secret))(t)
		if event.Type != "customer.created" || event.Account != seller || event.Data.Object["id"] != customer.ID {
			t.Errorf("got %+v", event)
		}
		if _, err := stripe.ConstructEvent(append(sent.body, ' '), sent.signature, endpoint.Secret); err == nil {
			t.Error("a forged event was taken")
		}
	case <-time.After(20 * time.Second):
		t.Error("no event came")
	}
	ok(client.V1WebhookEndpoints.Delete(ctx, endpoint.ID, nil))(t)
}

// control installs a fault in the double.
func control(t *testing.T, fault map[string]any) {
	t.Helper()
	body := ok(json.Marshal(fault))(t)
	request := ok(http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/_fake/faults", bytes.NewReader(body)))(t)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response := ok(wire.RoundTrip(request))(t)
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatal(response.Status)
	}
}
