package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v2 "github.com/conductorone/baton-sdk/pb/c1/connector/v2"
	v1 "github.com/conductorone/baton-sdk/pb/c1/connectorapi/baton/v1"
)

// heartbeatEvery is the shortest interval that the SDK obeys.
const heartbeatEvery = time.Second

// FullSync returns a task to sync everything and upload the result.
func FullSync() *v1.Task {
	return v1.Task_builder{SyncFull: &v1.Task_SyncFullTask{}}.Build()
}

// TargetedSync returns a task to sync some resources and upload the result.
func TargetedSync(ids ...*v2.ResourceId) *v1.Task {
	var resources []*v2.Resource
	for _, id := range ids {
		resources = append(resources, v2.Resource_builder{Id: id}.Build())
	}
	return v1.Task_builder{SyncFull: v1.Task_SyncFullTask_builder{TargetedSyncResources: resources}.Build()}.Build()
}

// DebuggedSync returns a FullSync that also uploads its log.
func DebuggedSync() *v1.Task {
	task := FullSync()
	task.SetDebug(true)
	return task
}

// ListEvents returns a task to read a feed of events.
func ListEvents(feed string) *v1.Task {
	return v1.Task_builder{ListEvents: v1.Task_ListEventsTask_builder{EventFeedId: feed}.Build()}.Build()
}

// ListTicketSchemas returns a task to list the kinds of tickets that can be made.
func ListTicketSchemas() *v1.Task {
	return v1.Task_builder{ListTicketSchemas: &v1.Task_ListTicketSchemasTask{}}.Build()
}

// Enqueue queues tasks for the next connectors that ask, and returns their ids.
func (p *Plane) Enqueue(tasks ...*v1.Task) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, task := range tasks {
		p.tasks++
		// 27 characters, like C1's own ids (KSUID).
		task.SetId(fmt.Sprintf("task%023d", p.tasks))
		task.SetStatus(v1.Task_STATUS_PENDING)
		p.queue = append(p.queue, task)
		ids = append(ids, task.GetId())
	}
	return ids
}

// Cancel tells the connector, at its next heartbeat, to drop a task.
func (p *Plane) Cancel(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped[id] = true
}

// Hello implements BatonServiceServer.
func (p *Plane) Hello(_ context.Context, req *v1.BatonServiceHelloRequest) (*v1.BatonServiceHelloResponse, error) {
	p.note(Event{Method: "Hello", Host: req.GetHostId(), TaskID: req.GetTaskId(), Message: req})
	return &v1.BatonServiceHelloResponse{}, nil
}

// GetTask implements BatonServiceServer.
func (p *Plane) GetTask(ctx context.Context, req *v1.BatonServiceGetTaskRequest) (*v1.BatonServiceGetTaskResponse, error) {
	tasks := p.hand(ctx, 1, nil)
	answer := v1.BatonServiceGetTaskResponse_builder{
		NextPoll: durationpb.New(pollEvery), NextHeartbeat: durationpb.New(heartbeatEvery),
	}
	event := Event{Method: "GetTask", Host: req.GetHostId(), Message: req}
	if len(tasks) == 1 {
		answer.Task, event.TaskID = tasks[0], tasks[0].GetId()
	}
	p.note(event)
	return answer.Build(), nil
}

// GetTasks implements BatonServiceServer.
func (p *Plane) GetTasks(ctx context.Context, req *v1.BatonServiceGetTasksRequest) (*v1.BatonServiceGetTasksResponse, error) {
	tasks := p.hand(ctx, int(req.GetPageSize()), req.GetKnownTaskIds())
	p.note(Event{Method: "GetTasks", Host: req.GetHostId(), Message: req})
	return v1.BatonServiceGetTasksResponse_builder{
		Tasks: tasks, NextPoll: durationpb.New(pollEvery), NextHeartbeat: durationpb.New(heartbeatEvery),
	}.Build(), nil
}

// hand takes up to n tasks from the queue. It takes none for a request whose
// connection was cut in the meantime, because the answer would be lost.
func (p *Plane) hand(ctx context.Context, n int, known []string) []*v1.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil || p.listener.isRefusing() {
		return nil
	}
	var tasks []*v1.Task
	for len(p.queue) > 0 && len(tasks) < n {
		task := p.queue[0]
		p.queue = p.queue[1:]
		p.handed[task.GetId()] = task
		if !slices.Contains(known, task.GetId()) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// current returns an error if a task was not handed out or is finished.
func (p *Plane) current(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handed[id] == nil {
		return notCurrent(id)
	}
	return nil
}

func notCurrent(id string) error {
	return status.Errorf(codes.NotFound, "task %s is not under way", id)
}

// Heartbeat implements BatonServiceServer. A heartbeat may arrive before or
// after the end of its task.
func (p *Plane) Heartbeat(_ context.Context, req *v1.BatonServiceHeartbeatRequest) (*v1.BatonServiceHeartbeatResponse, error) {
	p.mu.Lock()
	finished, dropped := p.finished[req.GetTaskId()], p.dropped[req.GetTaskId()]
	handed := p.handed[req.GetTaskId()] != nil
	p.mu.Unlock()
	switch {
	case finished:
		return &v1.BatonServiceHeartbeatResponse{}, nil
	case !handed:
		return nil, notCurrent(req.GetTaskId())
	}
	p.note(Event{Method: "Heartbeat", Host: req.GetHostId(), TaskID: req.GetTaskId(), Message: req})
	return v1.BatonServiceHeartbeatResponse_builder{
		NextHeartbeat: durationpb.New(heartbeatEvery), Cancelled: dropped,
	}.Build(), nil
}

// FinishTask implements BatonServiceServer.
func (p *Plane) FinishTask(_ context.Context, req *v1.BatonServiceFinishTaskRequest) (*v1.BatonServiceFinishTaskResponse, error) {
	if err := p.current(req.GetTaskId()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	delete(p.handed, req.GetTaskId())
	p.finished[req.GetTaskId()] = true
	p.mu.Unlock()
	p.note(Event{Method: "FinishTask", Host: req.GetHostId(), TaskID: req.GetTaskId(), Message: req})
	return &v1.BatonServiceFinishTaskResponse{}, nil
}

// StartDebugging implements BatonServiceServer.
func (p *Plane) StartDebugging(_ context.Context, req *v1.StartDebuggingRequest) (*v1.StartDebuggingResponse, error) {
	p.note(Event{Method: "StartDebugging", Message: req})
	return v1.StartDebuggingResponse_builder{Status: true}.Build(), nil
}

// UploadAsset implements BatonServiceServer. It reads metadata, then data in
// pieces, then the SHA-256 of all data, and refuses a wrong sum.
func (p *Plane) UploadAsset(stream v1.BatonService_UploadAssetServer) error {
	var metadata *v1.BatonServiceUploadAssetRequest_UploadMetadata
	var data bytes.Buffer
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.InvalidArgument, "the upload has no end")
		}
		if err != nil {
			return err
		}
		if err := validate(req); err != nil {
			return err
		}
		switch req.WhichMsg() { // a message that is none did not pass validate
		case v1.BatonServiceUploadAssetRequest_Metadata_case:
			if metadata != nil {
				return status.Error(codes.InvalidArgument, "the upload has metadata twice")
			}
			metadata = req.GetMetadata()
			if err := p.current(metadata.GetTaskId()); err != nil {
				return err
			}
		case v1.BatonServiceUploadAssetRequest_Data_case:
			if metadata == nil {
				return status.Error(codes.InvalidArgument, "the upload has data before metadata")
			}
			data.Write(req.GetData().GetData())
		case v1.BatonServiceUploadAssetRequest_Eof_case:
			if metadata == nil {
				return status.Error(codes.InvalidArgument, "the upload has an end before metadata")
			}
			sum := sha256.Sum256(data.Bytes())
			if !bytes.Equal(sum[:], req.GetEof().GetSha256Checksum()) {
				return status.Error(codes.DataLoss, "the upload's SHA-256 is wrong")
			}
			file := filepath.Join(p.dir, fmt.Sprintf("%s-%s.c1z", metadata.GetTaskId(), random()))
			if err := os.WriteFile(file, data.Bytes(), 0o600); err != nil {
				return status.Error(codes.Internal, err.Error())
			}
			p.note(Event{
				Method: "UploadAsset", Host: metadata.GetHostId(), TaskID: metadata.GetTaskId(), Message: metadata, File: file,
			})
			return stream.SendAndClose(&v1.BatonServiceUploadAssetResponse{})
		}
	}
}
